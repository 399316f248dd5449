// One neuron as a synthesis tool sees it, with HARDENED bits and the given GUARD.
#define __SYNTHESIS__
#include "codesign_dense.h"

typedef ap_fixed<9, 2> data_t;
typedef ap_fixed<20, 9> sum_t;
typedef ap_fixed<8, 1> factor_t;
const short WEIGHTS[8] = {93, -57, 71, 119, -103, 45, -87, 61};
const short BIASES[1] = {37};

template <class x_T, class w_T> struct Multiplier {
    static ap_fixed<17, 3> product(x_T a, w_T w) {
        ap_fixed<17, 3> result;
        result.word = a.word * w.word;
        return result;
    }
};

struct Config {
    static const unsigned n_in = 8, n_out = 1, reuse_factor = 1;
    static const int layer_id = 0;
    typedef sum_t accum_t;
    typedef factor_t weight_t, bias_t;
    static constexpr unsigned char hardened_bits[1] = {HARDENED};
    template <class x_T, class w_T> using product = Multiplier<x_T, w_T>;
};

extern "C" int kernel(const int *inputs, int guard) {
    data_t data[8];
    sum_t result[1];
    for (int i = 0; i < 8; i++)
        data[i].word = inputs[i];
    const bool flag = nnet::protected_dense<data_t, sum_t, Config>(data, result, WEIGHTS, BIASES, GUARD);
    return (result[0].word << 1) | flag;
}
