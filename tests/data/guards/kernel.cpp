// A neuron of eight products as a synthesis tool sees it. The macros: HARDENED bits, MECHANISM, MAC (multipliers a
// copy), LAYER (dense, or a convolution with two pixels), REUSE, CODE of the parameters, and the GUARD.
#define __SYNTHESIS__
#include "codesign_layers.h"

typedef ap_fixed<9, 2> data_t;
typedef ap_fixed<20, 9> sum_t;
typedef ap_fixed<8, 1> factor_t;
const short WEIGHTS[24] = {93,   -57, 71,  119, -103, 45,  -87, 61,  93,   -57, 71,  119,
                           -103, 45,  -87, 61,  93,   -57, 71,  119, -103, 45,  -87, 61};
const short BIASES[3] = {37, 37, 37};

template <class x_T, class w_T> struct Multiplier {
    static ap_fixed<17, 3> product(x_T a, w_T w) {
        ap_fixed<17, 3> result;
        result.word = a.word * w.word;
        return result;
    }
};

struct Config {
    static const int layer_id = 0;
    static const unsigned stride_height = 1, stride_width = 1;
    static const unsigned pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0;
    static const unsigned out_width = 1, n_filt = 1, reuse_factor = REUSE, dot_size = 4;
    typedef sum_t accum_t;
    typedef factor_t weight_t, bias_t;
    static constexpr unsigned char hardened_bits[1] = {HARDENED};
    static const codesign::Mechanism mechanism = codesign::Mechanism::MECHANISM;
    static const bool harden_multipliers = MAC;
    static const codesign::Code parameter_code = codesign::Code::CODE;
    template <class x_T, class w_T> using product = Multiplier<x_T, w_T>;
};

struct dense : Config {
    static const unsigned in_height = 1, in_width = 1, n_chan = 8, filt_height = 1, filt_width = 1, out_height = 1;
};

struct conv : Config {
    static const unsigned in_height = 3, in_width = 2, n_chan = 2, filt_height = 2, filt_width = 2, out_height = 2;
};

extern "C" int kernel(const int *inputs, int guard) {
    data_t data[12];
    sum_t result[2];
    for (int i = 0; i < 12; i++)
        data[i].word = inputs[i];
    codesign::Flags flags;
    nnet::protected_conv<data_t, sum_t, LAYER>(data, result, WEIGHTS, BIASES, GUARD, flags);
    int out = flags.corrected + 2 * flags.detected;
    for (unsigned pixel = 0; pixel < LAYER::out_height; pixel++)
        out ^= result[pixel].word << (2 + pixel);
    return out;
}
