// codesign_recompute.h: which neurons the shared unit computes, that an upset of one recomputation is outvoted, and
// that a stuck unit, which strikes both, is not, and is struck as often as it is used.
#include "ap_fixed.h"
#include "bench.h"
#include "codesign_layers.h"
#include "nnet_mult.h"

using namespace codesign;

typedef ap_fixed<8, 3> data_t;

struct Config {
    static const int layer_id = 0;
    static const unsigned in_height = 1, in_width = 3, n_chan = 7, filt_height = 1, filt_width = 1, stride_height = 1,
                          stride_width = 1, pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0, out_height = 1,
                          out_width = 3, n_filt = 5, reuse_factor = 1, dot_size = 3;
    typedef ap_fixed<16, 6> accum_t;
    typedef ap_fixed<6, 1> weight_t, bias_t;
    static constexpr unsigned char hardened_bits[n_filt] = {0, 4, 0, 16, 1};
    static const Mechanism mechanism = Mechanism::RECOMPUTE;
    static const bool harden_multipliers = true;
    static const Code parameter_code = Code::PLAIN;
    template <class x_T, class w_T> using product = nnet::product::mult<x_T, w_T>;
};
const int PASSES = 3, PIXELS = 3; // ceil(7 / 3), the last with two unused multipliers

struct Run {
    Config::accum_t out[15];
    Flags flags = Flags();
    int64_t hits;

    // One fault, or none for a target of -1.
    Run(int32_t target, int32_t neuron, int32_t position, int32_t replica, int32_t bit, int32_t step) : hits(0) {
        data_t data[21];
        short weights[35], biases[5];
        for (int i = 0; i < 21; i++)
            data[i] = from_bits<data_t>(37 * i % 256 - 128);
        for (int i = 0; i < 35; i++)
            weights[i] = 23 * i % 64 - 32;
        for (int i = 0; i < 5; i++)
            biases[i] = 5 * i;
        const Armed armed = {{0, target, neuron, position, replica, bit, 0, step}, &hits};
        Context context;
        context.layers.resize(1);
        if (target >= 0)
            context.layers[0].push_back(armed);
        Context::active() = &context;
        nnet::protected_conv<data_t, Config::accum_t, Config>(data, out, weights, biases, 0, flags);
        Context::active() = nullptr;
    }
    bool like(const Run &other) const {
        bool same = true;
        for (int i = 0; i < 15; i++)
            same &= out[i] == other.out[i];
        return same;
    }
};

bool important_neurons_are_listed() {
    unsigned neurons[4], bits[4];
    typedef Important<Config, 0, 5> List;
    List::list(neurons, bits);
    return List::count == 3 && neurons[0] == 1 && neurons[1] == 3 && neurons[2] == 4 && bits[0] == 4 && bits[1] == 16 &&
           bits[2] == 1;
}

// Every bit of every adder in every pass of one recomputation: hardened ones are noticed, none changes the result.
bool one_copy_is_outvoted(const Run &clean) {
    bool right = true;
    for (int copy = 1; copy <= 2; copy++)
        for (int step = 0; step < PIXELS * PASSES; step++)
            for (int adder = 0; adder < 3; adder++)
                for (int bit = 0; bit < 16; bit++) {
                    const Run run(ACCUMULATOR, 3, adder, copy, bit, step);
                    right &= run.like(clean) && run.flags.corrected && run.hits == 1;
                }
    return right;
}

bool a_stuck_unit_is_not(const Run &clean) {
    const Run adder(ACCUMULATOR, SHARED_UNIT, 0, 1, 15, EVERY), multiplier(PRODUCT, SHARED_UNIT, 2, 1, 13, EVERY);
    const int uses = PIXELS * PASSES * 2 * 3;
    return adder.hits == uses && multiplier.hits == uses && !multiplier.like(clean) && multiplier.flags.corrected;
}

int main() {
    const Run clean(-1, 0, 0, 0, 0, 0);
    check(!clean.flags.corrected && !clean.flags.detected, "without faults nothing is corrected");
    check(important_neurons_are_listed(), "important neurons are listed");
    check(one_copy_is_outvoted(clean), "an upset of one recomputation is outvoted");
    check(a_stuck_unit_is_not(clean), "a stuck unit strikes every use and outvotes the neuron");
    const Run low(ACCUMULATOR, 1, 6, 0, 3, 0), high(ACCUMULATOR, 1, 6, 0, 12, 0);
    check(!low.like(clean) && !low.flags.corrected, "bits below the hardened ones are the neuron's own");
    check(high.like(clean) && high.flags.corrected, "the neuron itself is outvoted");
    return verdict();
}
