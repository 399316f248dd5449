# Packs the IP core in build/ip as a kernel, build/small.xo. Run in this folder, after build_ip.tcl, by
#   vivado -mode batch -nojournal -nolog -source build_kernel.tcl
# The kernel is free running and the host writes and reads its registers by itself: "user managed".
set here [file dirname [file normalize [info script]]]
cd $here
if {![file exists build/ip/component.xml]} {
    error "build/ip holds no IP core: run build_ip.tcl with the HLS tool first"
}
create_project -force kernel build/kernel -part xcu250-figd2104-2L-e
set core [ipx::open_core build/ip/component.xml]
set_property sdx_kernel true $core
set_property sdx_kernel_type rtl $core
ipx::update_checksums $core
ipx::save_core $core
package_xo -force -xo_path build/small.xo -kernel_name small_axi -ip_directory build/ip \
    -ctrl_protocol user_managed
