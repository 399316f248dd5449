// The status registers of an accelerator: what its protected layers have corrected and detected.
//
//   word 0      bit k stays raised once layer k has corrected something
//   word 1      the same for what it detected but could not correct
//   word 2 + k  samples in which layer k corrected (low half) and detected (high half); the counters stop at 65535
#ifndef CODESIGN_STATUS_H_
#define CODESIGN_STATUS_H_

#include "codesign_taps.h"
#include "codesign_vote.h"

namespace codesign {

// Counts the events of a sample in N layers; `clear` forgets what was before it.
template <int N> void report(const Flags flags[N], bool clear, ap_uint<32> status[2 + N]) {
    static_assert(N <= 32, "one bit a layer in a word of 32");
    CODESIGN_REGISTERS(registers, 2 + N, STATUS);
    #pragma HLS RESET variable = registers
    #pragma HLS ARRAY_PARTITION variable = registers complete
    if (clear) {
        for (int word = 0; word < 2 + N; word++) {
            #pragma HLS UNROLL
            registers[word] = 0;
        }
    }
    for (int k = 0; k < N; k++) {
        #pragma HLS UNROLL
        const ap_uint<32> counts = registers[2 + k];
        const ap_uint<16> corrected = counts.range(15, 0), detected = counts.range(31, 16);
        if (flags[k].corrected) {
            registers[0][k] = 1;
            if (corrected != 0xFFFF)
                registers[2 + k].range(15, 0) = ap_uint<16>(corrected + 1);
        }
        if (flags[k].detected) {
            registers[1][k] = 1;
            if (detected != 0xFFFF)
                registers[2 + k].range(31, 16) = ap_uint<16>(detected + 1);
        }
    }
    for (int word = 0; word < 2 + N; word++) {
        #pragma HLS UNROLL
        status[word] = registers[word];
    }
}

} // namespace codesign

#endif
