#!/bin/sh
# Builds small for u250 on a machine with the vendor's tools: sh build.sh [STAGE]...
# Stages: hls, kernels, bitstream; without arguments all of them, one after the other. Results are in build/.
set -eu
cd "$(dirname "$0")"
mkdir -p build

need() {
    command -v "$1" >/dev/null || {
        echo "build.sh: no $1: source settings64.sh of Vitis 2020.2 or later" >&2
        exit 2
    }
}

hls() {
    if command -v vitis-run >/dev/null; then
        vitis-run --mode hls --tcl build_ip.tcl
    else
        need vitis_hls
        vitis_hls -f build_ip.tcl
    fi
}

kernels() {
    need vivado
    need v++
    vivado -mode batch -nojournal -nolog -source build_kernel.tcl
    for mover in mm2s s2mm; do
        v++ --compile --target hw --platform xilinx_u250_gen3x16_xdma_4_1_202210_1 --kernel "$mover" --kernel_frequency 200 \
            --temp_dir build/v++ --save-temps -o "build/$mover.xo" movers.cpp
    done
}

bitstream() {
    need v++
    v++ --link --target hw --platform xilinx_u250_gen3x16_xdma_4_1_202210_1 --config link.cfg --temp_dir build/v++ \
        --report_dir build/reports --save-temps -o build/design.xclbin \
        build/small.xo build/mm2s.xo build/s2mm.xo
    cp "$(find build/reports build/v++ -name '*full_util_routed.rpt' | head -n 1)" build/utilization.rpt
    cp "$(find build/reports build/v++ -name '*timing_summary_routed.rpt' | head -n 1)" build/timing.rpt
}

[ $# -gt 0 ] || set -- hls kernels bitstream
for stage in "$@"; do
    case "$stage" in
    hls | kernels | bitstream) ;;
    *)
        echo "build.sh: unknown stage '$stage', there are hls, kernels, bitstream" >&2
        exit 2
        ;;
    esac
done
for stage in "$@"; do
    echo "== $stage"
    "$stage"
done
