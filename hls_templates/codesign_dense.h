// Dense layer with selectively hardened neurons: io_parallel, Latency strategy, reuse factor 1.
//
// CONFIG_T is hls4ml's dense_config with two more members:
//   layer_id       index of the layer in the fault lists
//   hardened_bits  for each neuron the number of triplicated most significant accumulator bits
// accum_t must wrap on overflow: the tree adds in another order than a loop would, which is then the same.
#ifndef CODESIGN_DENSE_H_
#define CODESIGN_DENSE_H_

#include "codesign_taps.h"
#include "codesign_vote.h"
#include "nnet_dense.h"

namespace codesign {

// Largest power of two below n (n > 1).
constexpr int split(int n, int power = 1) { return 2 * power < n ? split(n, 2 * power) : power; }

// Balanced tree over leaves first .. first + N - 1. Adder k joins leaf k and leaf k + 1.
template <class S, int N> struct Tree {
    static S sum(const S *leaves, int first, const NeuronTaps &taps) {
        #pragma HLS INLINE
        const int left = split(N);
        S total = S::add(Tree<S, split(N)>::sum(leaves, first, taps),
                         Tree<S, N - split(N)>::sum(leaves, first + left, taps));
        taps.adder(first + left - 1, total);
        return total;
    }
};
template <class S> struct Tree<S, 1> {
    static S sum(const S *leaves, int first, const NeuronTaps &) {
        #pragma HLS INLINE
        return leaves[first];
    }
};

// A fixed-point number from its raw integer, and back to its bits, whatever its point and sign.
template <class T, class raw_T> T from_raw(raw_T raw) {
    #pragma HLS INLINE
    T value;
    value.range(T::width - 1, 0) = ap_int<T::width>(raw);
    return value;
}
template <class T> ap_int<T::width> bits_of(T value) {
    #pragma HLS INLINE
    return ap_int<T::width>(value.range(T::width - 1, 0));
}

// A leaf that is always zero needs no adder in any copy; a guard on it would make one.
template <class raw_T> Guard guard_of(raw_T constant, Guard guard) {
    #pragma HLS INLINE
    return constant == 0 ? Guard(0) : guard;
}

// One neuron with H hardened bits: every leaf of every copy that is not zero passes its guard.
template <class data_T, class CONFIG_T, int H, class weight_raw_T, class bias_raw_T>
typename CONFIG_T::accum_t neuron(data_T data[CONFIG_T::n_in], const weight_raw_T *weights, const bias_raw_T *biases,
                                  unsigned j, Guard guard, const NeuronTaps &taps, bool &mismatch) {
    #pragma HLS INLINE
    typedef typename CONFIG_T::accum_t accum_t;
    typedef typename CONFIG_T::weight_t weight_t;
    typedef typename CONFIG_T::bias_t bias_t;
    typedef Sum<accum_t::width, H> S;
    S leaves[CONFIG_T::n_in + 1];
    #pragma HLS ARRAY_PARTITION variable=leaves complete
    leaves[0] = S::load(bits_of(accum_t(taps.word(BIAS, 0, from_raw<bias_t>(biases[j])))),
                        guard_of(biases[j], guard));
    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        #pragma HLS UNROLL
        const weight_t weight = taps.word(WEIGHT, i, from_raw<weight_t>(weights[i * CONFIG_T::n_out + j]));
        const accum_t product =
            taps.word(PRODUCT, i, CONFIG_T::template product<data_T, weight_t>::product(data[i], weight));
        leaves[i + 1] = S::load(bits_of(product), guard_of(weights[i * CONFIG_T::n_out + j], guard));
    }
    accum_t result;
    result.range(accum_t::width - 1, 0) =
        Tree<S, CONFIG_T::n_in + 1>::sum(leaves, 0, taps).vote(mismatch).range(accum_t::width - 1, 0);
    return H ? taps.word(VOTER, 0, result) : result;
}

// Neurons FIRST .. FIRST + N - 1. Unrolled by the compiler, so that each has its own number of hardened bits.
template <class data_T, class res_T, class CONFIG_T, int FIRST, int N> struct Neurons {
    template <class weight_raw_T, class bias_raw_T>
    static void run(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_out], const weight_raw_T *weights,
                    const bias_raw_T *biases, Guard guard, const LayerTaps &taps, bool &mismatch) {
        #pragma HLS INLINE
        Neurons<data_T, res_T, CONFIG_T, FIRST, N / 2>::run(data, res, weights, biases, guard, taps, mismatch);
        Neurons<data_T, res_T, CONFIG_T, FIRST + N / 2, N - N / 2>::run(data, res, weights, biases, guard, taps,
                                                                        mismatch);
    }
};
template <class data_T, class res_T, class CONFIG_T, int FIRST> struct Neurons<data_T, res_T, CONFIG_T, FIRST, 1> {
    template <class weight_raw_T, class bias_raw_T>
    static void run(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_out], const weight_raw_T *weights,
                    const bias_raw_T *biases, Guard guard, const LayerTaps &taps, bool &mismatch) {
        #pragma HLS INLINE
        res[FIRST] = res_T(neuron<data_T, CONFIG_T, CONFIG_T::hardened_bits[FIRST]>(
            data, weights, biases, FIRST, guard, taps.neuron(FIRST), mismatch));
    }
};

} // namespace codesign

namespace nnet {

// Weights and biases are tables of raw integers in a native C type, of shape (n_in, n_out) and (n_out).
// Returns the layer's `corrected` flag: some voter outvoted a copy.
template <class data_T, class res_T, typename CONFIG_T, class weight_raw_T, class bias_raw_T>
bool protected_dense(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_out],
                     const weight_raw_T weights[CONFIG_T::n_in * CONFIG_T::n_out],
                     const bias_raw_T biases[CONFIG_T::n_out], codesign::Guard guard) {
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
    #pragma HLS function_instantiate variable=weights,biases
    #pragma HLS ARRAY_PARTITION variable=weights complete
    #pragma HLS ARRAY_PARTITION variable=biases complete
    bool mismatch = false;
    const codesign::LayerTaps taps(CONFIG_T::layer_id);
    codesign::Neurons<data_T, res_T, CONFIG_T, 0, CONFIG_T::n_out>::run(data, res, weights, biases, guard, taps,
                                                                        mismatch);
    return mismatch;
}

} // namespace nnet

#endif
