// codesign_neuron.h: the order in which leaves are added and the numbers of the adders, spelled out; and the self-test
// of the voters: whichever copy a raised guard corrupts, the result stays right and the layer says so.
#include "ap_fixed.h"
#include "bench.h"
#include "codesign_layers.h"
#include "nnet_mult.h"
#include <string>

using namespace codesign;

// A sum that writes down what was added.
struct Text {
    std::string text;
    static Text add(const Text &a, const Text &b) { return Text{"(" + a.text + b.text + ")"}; }
};
// Taps that write down which adder gave it.
struct Numbers {
    void adder(unsigned position, Text &sum) const { sum.text += std::to_string(position); }
};

template <bool SATURATES, int N> std::string order() {
    Text leaves[N];
    for (int i = 0; i < N; i++)
        leaves[i].text = std::string(1, char('a' + i));
    return sum_of<SATURATES, Text, N>(leaves, Numbers()).text;
}

struct Config {
    static const int layer_id = 0;
    static const unsigned in_height = 1, in_width = 1, n_chan = 6, filt_height = 1, filt_width = 1, stride_height = 1,
                          stride_width = 1, pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0, out_height = 1,
                          out_width = 1, n_filt = 3, reuse_factor = 2, dot_size = 4;
    typedef ap_fixed<18, 8> accum_t;
    typedef ap_fixed<6, 1> weight_t, bias_t;
    static constexpr unsigned char hardened_bits[n_filt] = {6, 18, 12};
    static const Mechanism mechanism = Mechanism::TMR;
    static const bool harden_multipliers = false;
    static const Code parameter_code = Code::PLAIN;
    template <class x_T, class w_T> using product = nnet::product::mult<x_T, w_T>;
};
struct Constants : Config {
    static const unsigned reuse_factor = 1;
};
struct Multipliers : Config {
    static const bool harden_multipliers = true;
};
struct Coded : Config {
    static const Code parameter_code = Code::TRIPLE;
};
struct Recompute : Config {
    static const Mechanism mechanism = Mechanism::RECOMPUTE;
};

template <class C> bool copies_are_outvoted(unsigned guards) {
    typedef ap_fixed<8, 3> data_t;
    bool right = true;
    int raised = 0;
    for (int trial = 0; trial < 200; trial++) {
        data_t data[6];
        typename C::accum_t expected[3], found[3];
        short weights[54], biases[9];
        for (int i = 0; i < 6; i++)
            data[i] = from_bits<data_t>(draw_signed(8));
        for (int i = 0; i < 54; i++)
            weights[i] = i < 18 ? draw_signed(6) : weights[i - 18];
        for (int i = 0; i < 9; i++)
            biases[i] = i < 3 ? draw_signed(6) : biases[i - 3];
        Flags clean = Flags(), flags = Flags();
        nnet::protected_dense<data_t, typename C::accum_t, C>(data, expected, weights, biases, 0, clean);
        nnet::protected_dense<data_t, typename C::accum_t, C>(data, found, weights, biases, guards, flags);
        for (int j = 0; j < 3; j++)
            right &= found[j] == expected[j];
        right &= !clean.corrected && !clean.detected && !flags.detected;
        raised += flags.corrected;
    }
    // Now and then what a guard does to several operands cancels.
    return right && raised > 150;
}
template <class C> bool each_copy_is_outvoted() {
    return copies_are_outvoted<C>(1) && copies_are_outvoted<C>(2) && copies_are_outvoted<C>(4);
}

int main() {
    check(order<false, 2>() == "(ab)0", "two leaves");
    check(order<false, 4>() == "((ab)0(cd)2)1", "a balanced tree");
    check(order<false, 7>() == "(((ab)0(cd)2)1((ef)4g)5)3", "a tree of an odd number of leaves");
    check(order<true, 4>() == "(((ab)0c)1d)2", "a chain");
    check(each_copy_is_outvoted<Config>(), "a raised guard is outvoted: adders");
    check(each_copy_is_outvoted<Constants>(), "a raised guard is outvoted: constant weights");
    check(each_copy_is_outvoted<Multipliers>(), "a raised guard is outvoted: multipliers");
    check(each_copy_is_outvoted<Coded>(), "a raised guard is outvoted: stored copies");
    check(each_copy_is_outvoted<Recompute>(), "a raised guard is outvoted: recomputed");
    return verdict();
}
