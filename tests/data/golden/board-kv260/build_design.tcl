# Block design, implementation and bitstream of small for kv260. Run in this folder, after build_ip.tcl, by
#   vivado -mode batch -nojournal -nolog -source build_design.tcl
# Leaves build/design.bit, build/design.hwh, build/utilization.rpt and build/timing.rpt.
set here [file dirname [file normalize [info script]]]
cd $here
if {![file exists build/ip/component.xml]} {
    error "build/ip holds no IP core: run build_ip.tcl with the HLS tool first"
}

proc wire {source args} {
    foreach sink $args {
        connect_bd_net [get_bd_pins $source] [get_bd_pins $sink]
    }
}

proc link {from to} {
    connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to]
}

# A stream of the accelerator; Vivado HLS may put "_V" behind the name of an hls::stream.
proc stream {name} {
    foreach candidate [list small_axi_0/$name small_axi_0/${name}_V] {
        if {[llength [get_bd_intf_pins -quiet $candidate]]} {
            return $candidate
        }
    }
    error "the IP core small_axi has no stream $name"
}

create_project -force design build/vivado -part xck26-sfvc784-2LV-c

# Pins, memory and clocks of the processing system come from the board's files.
set board_parts [get_board_parts -quiet -latest_file_version {*:kv260_som:*}]
if {[llength $board_parts]} {
    set_property board_part [lindex $board_parts 0] [current_project]
} elseif {![info exists ::env(CODESIGN_NO_BOARD_FILES)]} {
    error "no board files of kv260_som: install them (Vivado Store, or a folder named by board.repoPaths); \
with CODESIGN_NO_BOARD_FILES=1 the processing system keeps the tool's defaults"
}
set preset [expr {[llength $board_parts] > 0}]
set_property ip_repo_paths [file join $here build ip] [current_project]
update_ip_catalog
create_bd_design system

# ---------------------------------------------------------------- processing system
create_bd_cell -type ip -vlnv xilinx.com:ip:zynq_ultra_ps_e ps
apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config [list apply_board_preset $preset] [get_bd_cells ps]
# M_AXI_HPM0_FPD alone, and S_AXI_HP0_FPD.
set_property -dict [list \
    CONFIG.PSU__USE__M_AXI_GP0 1 \
    CONFIG.PSU__USE__M_AXI_GP1 0 \
    CONFIG.PSU__USE__M_AXI_GP2 0 \
    CONFIG.PSU__USE__S_AXI_GP2 1 \
    CONFIG.PSU__SAXIGP2__DATA_WIDTH 128 \
    CONFIG.PSU__FPGA_PL0_ENABLE 1 \
    CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ 200 \
] [get_bd_cells ps]

# ---------------------------------------------------------------- accelerator, DMA and what joins them
create_bd_cell -type ip -vlnv xilinx.com:hls:small_axi small_axi_0
create_bd_cell -type ip -vlnv xilinx.com:ip:axi_dma axi_dma_0
# Simple mode, both channels, up to 2^26 - 1 bytes a transfer; bursts of at most 4 KB.
set_property -dict [list \
    CONFIG.c_include_sg 0 \
    CONFIG.c_sg_include_stscntrl_strm 0 \
    CONFIG.c_sg_length_width 26 \
    CONFIG.c_include_mm2s 1 \
    CONFIG.c_include_s2mm 1 \
    CONFIG.c_addr_width 40 \
    CONFIG.c_m_axi_mm2s_data_width 128 \
    CONFIG.c_m_axis_mm2s_tdata_width 128 \
    CONFIG.c_mm2s_burst_size 256 \
    CONFIG.c_m_axi_s2mm_data_width.VALUE_SRC USER \
    CONFIG.c_s_axis_s2mm_tdata_width.VALUE_SRC USER \
    CONFIG.c_m_axi_s2mm_data_width 128 \
    CONFIG.c_s_axis_s2mm_tdata_width 128 \
    CONFIG.c_s2mm_burst_size 256 \
] [get_bd_cells axi_dma_0]
create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset_0
create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect control_0
create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect memory_0
set_property -dict [list CONFIG.NUM_SI 1 CONFIG.NUM_MI 2] [get_bd_cells control_0]
set_property -dict [list CONFIG.NUM_SI 2 CONFIG.NUM_MI 1] [get_bd_cells memory_0]

# One clock and its reset for everything.
wire ps/pl_clk0 ps/maxihpm0_fpd_aclk ps/saxihp0_fpd_aclk \
    small_axi_0/ap_clk \
    axi_dma_0/s_axi_lite_aclk axi_dma_0/m_axi_mm2s_aclk axi_dma_0/m_axi_s2mm_aclk \
    reset_0/slowest_sync_clk
wire ps/pl_resetn0 reset_0/ext_reset_in
wire reset_0/peripheral_aresetn small_axi_0/ap_rst_n axi_dma_0/axi_resetn
foreach cell {control_0 memory_0} {
    wire ps/pl_clk0 $cell/aclk
    wire reset_0/interconnect_aresetn $cell/aresetn
}

# The processor reaches the DMA's registers and the accelerator's; guards, like all of them, are zero after reset.
link ps/M_AXI_HPM0_FPD control_0/S00_AXI
link control_0/M00_AXI axi_dma_0/S_AXI_LITE
link control_0/M01_AXI small_axi_0/s_axi_control
# The DMA reaches the memory.
link axi_dma_0/M_AXI_MM2S memory_0/S00_AXI
link axi_dma_0/M_AXI_S2MM memory_0/S01_AXI
link memory_0/M00_AXI ps/S_AXI_HP0_FPD
# The streams.
link axi_dma_0/M_AXIS_MM2S [stream stream_in]
link [stream stream_out] axi_dma_0/S_AXIS_S2MM

assign_bd_address
validate_bd_design
save_bd_design

# ---------------------------------------------------------------- implementation
set diagram [get_files system.bd]
generate_target all $diagram
add_files -norecurse [make_wrapper -files $diagram -top]
set_property top system_wrapper [current_fileset]
update_compile_order -fileset sources_1
launch_runs impl_1 -to_step write_bitstream -jobs [expr {[info exists ::env(CODESIGN_JOBS)] ? $::env(CODESIGN_JOBS) : 4}]
wait_on_run impl_1
set run [get_runs impl_1]
if {[get_property PROGRESS $run] ne "100%"} {
    error "implementation failed: [get_property STATUS $run]; its log is in [get_property DIRECTORY $run]"
}
open_run impl_1
report_utilization -file build/utilization.rpt
report_timing_summary -file build/timing.rpt
file copy -force [file join [get_property DIRECTORY $run] system_wrapper.bit] build/design.bit
# From Vivado 2020.2 on what is generated stands apart from the sources.
set handoff [glob -nocomplain build/vivado/design.gen/sources_1/bd/system/hw_handoff/system.hwh \
    build/vivado/design.srcs/sources_1/bd/system/hw_handoff/system.hwh]
if {![llength $handoff]} {
    error "Vivado left no hardware description system.hwh under build/vivado"
}
file copy -force [lindex $handoff 0] build/design.hwh
puts "worst setup slack: [get_property SLACK [get_timing_paths -max_paths 1 -setup]] ns"
