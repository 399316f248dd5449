#!/bin/sh
# Builds small for pynq-z2 on a machine with the vendor's tools: sh build.sh [STAGE]...
# Stages: hls, bitstream; without arguments all of them, one after the other. Results are in build/.
set -eu
cd "$(dirname "$0")"
mkdir -p build

need() {
    command -v "$1" >/dev/null || {
        echo "build.sh: no $1: source settings64.sh of Vivado 2019.2 to 2020.1" >&2
        exit 2
    }
}

hls() {
    need vivado_hls
    vivado_hls -f build_ip.tcl
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
