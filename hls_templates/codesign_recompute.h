// A layer's shared unit: it computes the important neurons twice more, one after the other, for the voters.
//
// Redundancy in time: dot_size multipliers serve all neurons with hardened bits, in ceil(K / dot_size) passes each;
// what is left over of the last pass works on zeros. The three sums are whole words; their hardened bits are put to
// the vote, the bits below are the first sum's. The two recomputations of a neuron lie as far apart as the loops
// allow, so that an upset of the unit that passes is over when it matters.
#ifndef CODESIGN_RECOMPUTE_H_
#define CODESIGN_RECOMPUTE_H_

#include "codesign_neuron.h"

namespace codesign {

// The neurons with hardened bits among FIRST .. FIRST + N - 1.
template <class CONFIG_T, int FIRST, int N> struct Important {
    typedef Important<CONFIG_T, FIRST, N / 2> Left;
    typedef Important<CONFIG_T, FIRST + N / 2, N - N / 2> Right;
    static const int count = Left::count + Right::count;

    static void list(unsigned *neurons, unsigned *hardened_bits) {
        #pragma HLS INLINE
        Left::list(neurons, hardened_bits);
        Right::list(neurons + Left::count, hardened_bits + Left::count);
    }
};
template <class CONFIG_T, int FIRST> struct Important<CONFIG_T, FIRST, 1> {
    static const int bits = CONFIG_T::hardened_bits[FIRST];
    static const int count = bits > 0;

    static void list(unsigned *neurons, unsigned *hardened_bits) {
        #pragma HLS INLINE
        if (bits > 0) {
            *neurons = FIRST;
            *hardened_bits = bits;
        }
    }
};

// The taps of one of the copies that the unit computes.
template <class Taps> struct CopyTaps {
    const Taps &taps;
    const unsigned copy;

    CopyTaps(const Taps &all, unsigned which) : taps(all), copy(which) {
        #pragma HLS INLINE
    }
    template <class S> void adder(unsigned position, S &sum) const {
        #pragma HLS INLINE
        sum.copies[0] = taps.word(ACCUMULATOR, position, copy, sum.copies[0]);
    }
};

template <class CONFIG_T, class FEED> struct SharedUnit {
    typedef typename CONFIG_T::accum_t accum_t;
    typedef typename CONFIG_T::weight_t weight_t;
    typedef Leaves<CONFIG_T, FEED> L;
    static const int A = accum_t::width;
    typedef Sum<A, A, 1> S;
    typedef Important<CONFIG_T, 0, CONFIG_T::n_filt> Neurons;
    static const unsigned multipliers = CONFIG_T::dot_size;
    static const unsigned passes = (FEED::products + multipliers - 1) / multipliers;
    static_assert(!SumOf<CONFIG_T, 0>::saturates, "a saturating accumulator cannot be recomputed in another order");

    // One pass over one neuron: the sum so far and that of the pass's products.
    template <class data_T, class weights_T, class bias_word_T, class Taps>
    static S pass(const S &sum, const data_T (*windows)[FEED::window], weights_T weights, const bias_word_T *biases,
                  unsigned j, unsigned pass, unsigned copy, GuardBits guard, const Taps &taps, Flags &flags) {
        #pragma HLS INLINE
        S leaves[multipliers + 1];
        #pragma HLS ARRAY_PARTITION variable = leaves complete
        leaves[0] = sum;
        if (pass == 0)
            leaves[0].copies[0] = L::bias(biases, j, guard, taps, flags);
        for (unsigned m = 0; m < multipliers; m++) {
            #pragma HLS UNROLL
            const unsigned k = pass * multipliers + m;
            const bool used = k < FEED::products;
            const weight_t weight = used ? L::weight(weights, k, j, guard, taps, flags) : from_bits<weight_t>(0);
            const data_T x = used ? windows[copy][FEED::operand(k, j)] : data_T(0);
            leaves[m + 1].copies[0] = L::product(x, weight, m, copy, taps);
        }
        return sum_of<false, S, multipliers + 1>(leaves, CopyTaps<Taps>(taps, copy));
    }

    // Puts the important ones of `sums` to the vote.
    template <class data_T, class weights_T, class bias_word_T>
    static void run(const data_T (*windows)[FEED::window], accum_t *sums, weights_T weights, const bias_word_T *biases,
                    unsigned pixel, GuardBits guard, const LayerTaps &taps, Flags &flags) {
        #pragma HLS INLINE
        const int count = Neurons::count;
        unsigned neurons[count + 1], hardened_bits[count + 1]; // one more: none may be important
        #pragma HLS ARRAY_PARTITION variable = neurons complete
        #pragma HLS ARRAY_PARTITION variable = hardened_bits complete
        Neurons::list(neurons, hardened_bits);
        Int<A> again[2][count + 1];
        #pragma HLS ARRAY_PARTITION variable = again complete dim = 0
    RecomputeCopies:
        for (unsigned copy = 1; copy <= 2; copy++) {
        RecomputeNeurons:
            for (int n = 0; n < count; n++) {
                S sum;
            RecomputePasses:
                for (unsigned p = 0; p < passes; p++) {
                    #pragma HLS LOOP_FLATTEN
                    #pragma HLS PIPELINE II = 1
                    const unsigned j = neurons[n];
                    const StepTaps use = taps.recomputed(j).at(pixel * passes + p);
                    sum = use.armed() ? pass(sum, windows, weights, biases, j, p, copy, guard, use, flags)
                                      : pass(sum, windows, weights, biases, j, p, copy, guard, NoTaps(), flags);
                    again[copy - 1][n] = sum.copies[0];
                }
            }
        }
    RecomputeVote:
        for (int n = 0; n < count; n++) {
            #pragma HLS UNROLL
            const unsigned j = neurons[n];
            const Int<A> copies[3] = {bits_of(sums[j]), again[0][n], again[1][n]};
            sums[j] = taps.neuron(j).at(pixel).word(VOTER, 0, 0, vote(copies, A - hardened_bits[n], flags));
        }
    }

    static accum_t vote(const Int<A> (&copies)[3], unsigned cut, Flags &flags) {
        #pragma HLS INLINE
        Int<A> high[3];
        #pragma HLS ARRAY_PARTITION variable = high complete
        for (int r = 0; r < 3; r++) {
            #pragma HLS UNROLL
            high[r] = copies[r] >> cut;
        }
        const Int<A> voted = Int<A>(resolve(high, flags)) << cut;
        return from_bits<accum_t>(Int<A>(voted | (copies[0] & ~(Int<A>(-1) << cut))));
    }
};

} // namespace codesign

#endif
