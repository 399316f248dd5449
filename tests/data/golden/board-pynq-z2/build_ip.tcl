# C-synthesis of small_axi, exported as an IP core to build/ip. Run in this folder by
#   vivado_hls -f build_ip.tcl
set here [file dirname [file normalize [info script]]]
cd $here
source project.tcl

open_project -reset small_axi_prj
set_top small_axi
add_files firmware/small.cpp -cflags "-std=c++0x"
add_files firmware/small_axi.cpp -cflags "-std=c++0x"
open_solution -reset solution1
catch {config_array_partition -maximum_size $maximum_size}
config_compile -name_max_length 80
set_part $part
config_schedule -enable_dsp_full_reg=false
create_clock -period $clock_period -name default
set_clock_uncertainty $clock_uncertainty default

csynth_design
export_design -format ip_catalog -version $version

file mkdir build
file delete -force build/ip
file copy small_axi_prj/solution1/impl/ip build/ip
if {![file exists build/ip/component.xml]} {
    error "the export left no IP core in small_axi_prj/solution1/impl/ip"
}
exit
