#!/bin/sh
# Builds the C-simulation library of this project: sh build_csim.sh [compiler]
# csim.cpp takes in the accelerator's sources, so that the library's headers are read once.
# NDEBUG: the ap_fixed headers read, and then ignore, a bit beyond the source when a cast drops all its bits.
set -e
cd "$(dirname "$0")"
exec "${1:-g++}" -std=c++17 -O2 -DNDEBUG -fPIC -shared -fvisibility=hidden -fno-gnu-unique -w -Ifirmware/ap_types \
    csim.cpp -o csim.so
