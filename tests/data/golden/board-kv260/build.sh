#!/bin/sh
# Builds small for kv260 on a machine with the vendor's tools: sh build.sh [STAGE]...
# Stages: hls, bitstream; without arguments all of them, one after the other. Results are in build/.
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

bitstream() {
    need vivado
    vivado -mode batch -nojournal -nolog -source build_design.tcl
}

[ $# -gt 0 ] || set -- hls bitstream
for stage in "$@"; do
    case "$stage" in
    hls | bitstream) ;;
    *)
        echo "build.sh: unknown stage '$stage', there are hls, bitstream" >&2
        exit 2
        ;;
    esac
done
for stage in "$@"; do
    echo "== $stage"
    "$stage"
done
