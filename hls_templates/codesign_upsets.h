// Upset slots: words of stored weights that are read with some of their bits inverted, as the host says.
//
// A slot names a layer, counted from 1 among those that store their weights (0: off), a word of its memory and a mask
// of the word's low 32 bits. It does what a persistent fault in that weight does, and stays until it is written again.
#ifndef CODESIGN_UPSETS_H_
#define CODESIGN_UPSETS_H_

#include "ap_int.h"

namespace codesign {

// A layer without slots reads its table as it is.
struct NoUpsets {};
template <class word_T> const word_T *through(const NoUpsets &, const word_T *table) {
    #pragma HLS INLINE
    return table;
}

// What the slots say of one layer: a mask of zero where they mean another.
template <int SLOTS> struct Upsets {
    ap_uint<32> word[SLOTS], mask[SLOTS];

    // Slot `index`, for layer `number`.
    Upsets &set(int index, unsigned number, ap_uint<8> layer, ap_uint<32> which, ap_uint<32> bits) {
        #pragma HLS INLINE
        word[index] = which;
        mask[index] = layer == number ? bits : ap_uint<32>(0);
        return *this;
    }
};

template <class word_T, int SLOTS> struct UpsetTable {
    const word_T *table;
    const Upsets<SLOTS> &upsets;

    word_T operator[](unsigned index) const {
        #pragma HLS INLINE
        ap_uint<32> mask = 0;
        for (int slot = 0; slot < SLOTS; slot++) {
            #pragma HLS UNROLL
            if (upsets.word[slot] == index)
                mask ^= upsets.mask[slot];
        }
        return table[index] ^ word_T(mask.to_uint());
    }
};
template <class word_T, int SLOTS> UpsetTable<word_T, SLOTS> through(const Upsets<SLOTS> &upsets, const word_T *table) {
    #pragma HLS INLINE
    const UpsetTable<word_T, SLOTS> seen = {table, upsets};
    return seen;
}

} // namespace codesign

#endif
