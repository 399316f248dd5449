// codesign_layers.h, codesign_neuron.h, codesign_recompute.h: every kind of layer, mechanism and code under random
// faults, as arrays and as streams, against plain integers: results, flags, and how often each fault was applied.
#include "ap_fixed.h"
#include "nnet_mult.h"
#include "nnet_types.h"
#include "reference.h"
#include <algorithm>
#include <string>

using codesign::Armed;
using codesign::Code;
using codesign::Context;
using codesign::Fault;
using codesign::Flags;
using codesign::Mechanism;

typedef ap_fixed<8, 3> data_t;
typedef ap_fixed<12, 5> res_t;

struct Conv {
    static const int layer_id = 1;
    static const unsigned in_height = 5, in_width = 4, n_chan = 2, filt_height = 3, filt_width = 2, stride_height = 2,
                          stride_width = 1, pad_top = 1, pad_bottom = 1, pad_left = 0, pad_right = 1, out_height = 3,
                          out_width = 4, n_filt = 5, reuse_factor = 1, dot_size = 5;
    typedef ap_fixed<18, 8> accum_t;
    typedef ap_fixed<6, 1> weight_t;
    typedef ap_fixed<7, 2> bias_t;
    static constexpr unsigned char hardened_bits[n_filt] = {0, 5, 18, 17, 1};
    static const Mechanism mechanism = Mechanism::TMR;
    static const bool harden_multipliers = false;
    static const Code parameter_code = Code::PLAIN;
    template <class x_T, class w_T> using product = nnet::product::mult<x_T, w_T>;
};
struct ConvMac : Conv {
    static const bool harden_multipliers = true;
};
struct ConvPasses : ConvMac {
    static const unsigned reuse_factor = 4;
};
struct ConvTriple : Conv {
    static const unsigned reuse_factor = 2;
    static const Code parameter_code = Code::TRIPLE;
};
struct ConvDmr : Conv {
    static const Mechanism mechanism = Mechanism::DMR;
};
struct ConvDmrMac : ConvDmr {
    static const unsigned reuse_factor = 3;
    static const bool harden_multipliers = true;
    static const Code parameter_code = Code::PARITY;
};
struct ConvRecompute : Conv {
    static const Mechanism mechanism = Mechanism::RECOMPUTE;
    static const bool harden_multipliers = true;
};
struct ConvRecomputePasses : ConvRecompute {
    static const unsigned reuse_factor = 6, dot_size = 4;
    static const Code parameter_code = Code::ECC;
};
struct ConvSaturating : Conv {
    typedef ap_fixed<10, 4, AP_TRN, AP_SAT> accum_t;
    static constexpr unsigned char hardened_bits[n_filt] = {0, 10, 10, 0, 10};
};
struct ConvSaturatingDmr : ConvSaturating {
    static const Mechanism mechanism = Mechanism::DMR;
    static const unsigned reuse_factor = 3;
    static const bool harden_multipliers = true;
};
struct Pointwise : Conv { // of one row: also a convolution in one dimension
    static const unsigned in_height = 1, in_width = 6, filt_height = 1, filt_width = 1, stride_height = 1,
                          stride_width = 2, pad_top = 0, pad_bottom = 0, pad_right = 0, out_height = 1, out_width = 3;
};
struct Depthwise : Conv {
    static const unsigned n_chan = 3, n_filt = 3;
    static constexpr unsigned char hardened_bits[n_filt] = {4, 0, 18};
};
struct DepthwiseMac : Depthwise {
    static const unsigned reuse_factor = 2;
    static const bool harden_multipliers = true;
    static const Code parameter_code = Code::ECC;
};
struct DepthwiseRecompute : Depthwise {
    static const Mechanism mechanism = Mechanism::RECOMPUTE;
};
struct BatchNorm : Depthwise {
    static const unsigned filt_height = 1, filt_width = 1, stride_height = 1, pad_top = 0, pad_bottom = 0,
                          pad_right = 0, out_height = 5, out_width = 4;
};
struct Dense : Conv {
    static const unsigned in_height = 1, in_width = 1, n_chan = 12, filt_height = 1, filt_width = 1, stride_height = 1,
                          pad_top = 0, pad_bottom = 0, pad_right = 0, out_height = 1, out_width = 1;
};
struct DenseMac : Dense {
    static const unsigned reuse_factor = 4;
    static const bool harden_multipliers = true;
    static const Code parameter_code = Code::TRIPLE;
};
struct DenseRecompute : Dense {
    static const Mechanism mechanism = Mechanism::RECOMPUTE;
    static const unsigned dot_size = 12;
};

// A random fault at a place that may or may not exist.
template <class C, bool DEPTHWISE> Fault draw_fault() {
    const int products = int(C::filt_height * C::filt_width) * (DEPTHWISE ? 1 : int(C::n_chan));
    const int targets[] = {codesign::WEIGHT, codesign::BIAS, codesign::PRODUCT, codesign::ACCUMULATOR, codesign::VOTER};
    const int width = C::accum_t::width;
    Fault f;
    f.layer = C::layer_id;
    f.target = targets[draw(5)];
    f.neuron = draw(C::n_filt);
    f.position = f.target == codesign::BIAS || f.target == codesign::VOTER ? 0 : draw(products);
    f.replica = draw(3);
    f.sample = 0;
    f.step = draw(3) ? int(draw(C::out_height * C::out_width * 6)) : codesign::EVERY;
    const bool parameter = f.target == codesign::WEIGHT || f.target == codesign::BIAS;
    if (parameter)
        f.step = codesign::EVERY;
    const int bits = f.target == codesign::BIAS      ? reference::stored_width(C::parameter_code, C::bias_t::width)
                     : f.target == codesign::WEIGHT  ? reference::stored_width(C::parameter_code, C::weight_t::width)
                     : f.target == codesign::PRODUCT ? data_t::width + C::weight_t::width
                                                     : width;
    f.bit = draw(bits);
    if (!parameter && f.target != codesign::VOTER && C::mechanism == Mechanism::RECOMPUTE && draw(4) == 0) {
        f.neuron = codesign::SHARED_UNIT;
        f.replica = 1;
        f.step = codesign::EVERY;
        f.position = draw(C::dot_size);
    }
    return f;
}

// The faults as the kernels see them.
struct Arming {
    Context context;
    std::vector<int64_t> hits;

    explicit Arming(const std::vector<Fault> &faults) : hits(faults.size(), 0) {
        context.layers.resize(2);
        for (std::size_t k = 0; k < faults.size(); k++) {
            const Armed armed = {faults[k], &hits[k]};
            context.layers[faults[k].layer].push_back(armed);
        }
        for (std::size_t layer = 0; layer < context.layers.size(); layer++)
            std::sort(context.layers[layer].begin(), context.layers[layer].end());
        Context::active() = &context;
    }
    ~Arming() { Context::active() = nullptr; }
};

template <class word_T> std::vector<word_T> table(Code code, const std::vector<int64_t> &values, int width) {
    std::vector<word_T> words;
    for (int copy = 0; copy < (code == Code::TRIPLE ? 3 : 1); copy++)
        for (std::size_t i = 0; i < values.size(); i++)
            words.push_back(word_T(code == Code::PLAIN ? values[i] : reference::encode(code, values[i], width)));
    return words;
}

// The entry points.
struct AsDense {
    static const bool depthwise = false;
    template <class data_T, class res_T, class C, class... Rest> static void call(Rest &&...rest) {
        nnet::protected_dense<data_T, res_T, C>(rest...);
    }
};
struct AsConv {
    static const bool depthwise = false;
    template <class data_T, class res_T, class C, class... Rest> static void call(Rest &&...rest) {
        nnet::protected_conv<data_T, res_T, C>(rest...);
    }
};
struct AsDepthwise {
    static const bool depthwise = true;
    template <class data_T, class res_T, class C, class... Rest> static void call(Rest &&...rest) {
        nnet::protected_depthwise<data_T, res_T, C>(rest...);
    }
};

// Ports: arrays of values, or streams of packs.
template <class T, int N> struct Array {
    typedef T value;
    T it[N];
    void put(const std::vector<int64_t> &raw) {
        for (int i = 0; i < N; i++)
            it[i] = codesign::from_bits<T>(raw[i]);
    }
    std::vector<int64_t> take() {
        std::vector<int64_t> raw;
        for (int i = 0; i < N; i++)
            raw.push_back(codesign::bits_of(it[i]));
        return raw;
    }
    bool drained() { return true; }
};

template <class T, int N, int PACK> struct Stream {
    typedef nnet::array<T, PACK> value;
    hls::stream<value> it;
    void put(const std::vector<int64_t> &raw) {
        for (int i = 0; i < N; i += PACK) {
            value pack;
            for (int k = 0; k < PACK; k++)
                pack[k] = codesign::from_bits<T>(raw[i + k]);
            it.write(pack);
        }
    }
    std::vector<int64_t> take() {
        std::vector<int64_t> raw;
        while (!it.empty()) {
            const value pack = it.read();
            for (int k = 0; k < PACK; k++)
                raw.push_back(codesign::bits_of(pack[k]));
        }
        return raw;
    }
    bool drained() { return it.empty(); }
};

// One layer through one kind of ports, against the model.
template <class C, class As, class Input, class Output> void compare(const char *name, int trials) {
    typedef reference::Layer<C, As::depthwise, data_t> Model;
    typedef typename std::conditional<C::parameter_code == Code::PLAIN, short, unsigned short>::type word_T;
    const int inputs = C::in_height * C::in_width * C::n_chan;
    const int products = int(C::filt_height * C::filt_width) * (As::depthwise ? 1 : int(C::n_chan));
    bool results = true, flagged = true, hit = true, drained = true;
    int applied = 0, corrected = 0, detected = 0;
    for (int trial = 0; trial < trials; trial++) {
        std::vector<int64_t> data, weights, biases;
        for (int i = 0; i < inputs; i++)
            data.push_back(draw_signed(data_t::width));
        for (int i = 0; i < products * int(C::n_filt); i++)
            weights.push_back(draw_signed(C::weight_t::width));
        for (int i = 0; i < int(C::n_filt); i++)
            biases.push_back(draw_signed(C::bias_t::width));
        std::vector<Fault> faults;
        for (unsigned k = 0, count = trial % 4 ? draw(30) : 0; k < count; k++)
            faults.push_back(draw_fault<C, As::depthwise>());

        Flags expected_flags = Flags(), flags = Flags();
        Model model(weights, biases, faults);
        const std::vector<int64_t> expected = model.template run<res_t>(data, expected_flags);
        Arming arming(faults);
        Input input;
        Output output;
        input.put(data);
        As::template call<typename Input::value, typename Output::value, C>(
            input.it, output.it, table<word_T>(C::parameter_code, weights, C::weight_t::width).data(),
            table<word_T>(C::parameter_code, biases, C::bias_t::width).data(), 0, flags);
        results &= output.take() == expected;
        drained &= input.drained();
        flagged &= flags.corrected == expected_flags.corrected && flags.detected == expected_flags.detected;
        hit &= arming.hits == model.hits;
        for (std::size_t k = 0; k < faults.size(); k++)
            applied += arming.hits[k] > 0;
        corrected += flags.corrected;
        detected += flags.detected;
    }
    check(results && drained, (std::string(name) + ": results").c_str());
    check(flagged, (std::string(name) + ": flags").c_str());
    check(hit && applied > trials, (std::string(name) + ": hits").c_str());
    std::printf("     %d faults applied, %d samples corrected, %d detected\n", applied, corrected, detected);
}

// As arrays, and as streams with IN_PACK and OUT_PACK values a pack.
template <class C, class As, int IN_PACK, int OUT_PACK> void compare_both(const std::string &name) {
    const int inputs = C::in_height * C::in_width * C::n_chan, outputs = C::out_height * C::out_width * C::n_filt;
    compare<C, As, Array<data_t, inputs>, Array<res_t, outputs>>((name + ", arrays").c_str(), 300);
    compare<C, As, Stream<data_t, inputs, IN_PACK>, Stream<res_t, outputs, OUT_PACK>>((name + ", streams").c_str(),
                                                                                      100);
}

struct Add {
    static const int layer_id = 1;
    static const unsigned out_height = 2, out_width = 3, n_filt = 3;
    typedef ap_fixed<9, 4> accum_t;
    static constexpr unsigned char hardened_bits[n_filt] = {0, 4, 9};
    static const Mechanism mechanism = Mechanism::TMR;
};
struct AddDmr : Add {
    static const Mechanism mechanism = Mechanism::DMR;
};

// The sum of two tensors under single flips of every bit of every adder.
template <class C> void check_add(const char *name) {
    const int N = 18, A = C::accum_t::width, hardened[3] = {0, 4, 9};
    const bool dmr = C::mechanism == Mechanism::DMR;
    bool results = true, flagged = true, hit = true;
    for (int bit = 0; bit < A; bit++) {
        for (int replica = 0; replica < 3; replica++) {
            for (int struck = 0; struck < N; struck++) {
                data_t a[N], b[N];
                res_t y[N];
                hls::stream<nnet::array<data_t, 3>> as, bs;
                hls::stream<nnet::array<res_t, 3>> ys;
                for (int i = 0; i < N; i += 3) {
                    nnet::array<data_t, 3> pack_a, pack_b;
                    for (int k = 0; k < 3; k++) {
                        pack_a[k] = a[i + k] = codesign::from_bits<data_t>(draw_signed(8));
                        pack_b[k] = b[i + k] = codesign::from_bits<data_t>(draw_signed(8));
                    }
                    as.write(pack_a);
                    bs.write(pack_b);
                }
                const Fault fault = {1, codesign::ACCUMULATOR, struck % 3, 0, replica, bit, 0, struck / 3};
                Arming arming(std::vector<Fault>(1, fault));
                Flags flags = Flags(), stream_flags = Flags();
                nnet::protected_add<data_t, data_t, res_t, C>(a, b, y, 0, flags);
                nnet::protected_add<nnet::array<data_t, 3>, nnet::array<data_t, 3>, nnet::array<res_t, 3>, C>(
                    as, bs, ys, 0, stream_flags);
                const int h = hardened[struck % 3];
                const bool voted = bit >= A - h;
                const bool exists = replica < (voted ? dmr ? 2 : 3 : 1);
                for (int i = 0; i < N; i++) {
                    int64_t sum = codesign::bits_of(a[i]) + codesign::bits_of(b[i]); // 5 fractional bits, as accum_t
                    if (i == struck && exists)
                        sum = voted ? dmr ? 0 : sum : reference::wrap(sum ^ int64_t(1) << bit, A);
                    results &= codesign::bits_of(y[i]) == reference::cast<res_t>(sum, 5);
                }
                for (int pixel = 0; pixel < N / 3; pixel++) {
                    const nnet::array<res_t, 3> pack = ys.read();
                    for (int k = 0; k < 3; k++)
                        results &= pack[k] == y[3 * pixel + k];
                }
                results &= as.empty() && bs.empty() && ys.empty();
                flagged &= flags.corrected == (exists && voted && !dmr) && flags.detected == (exists && voted && dmr);
                flagged &= flags.corrected == stream_flags.corrected && flags.detected == stream_flags.detected;
                hit &= arming.hits[0] == 2 * exists;
            }
        }
    }
    check(results, (std::string(name) + ": results").c_str());
    check(flagged, (std::string(name) + ": flags").c_str());
    check(hit, (std::string(name) + ": hits").c_str());
}

int main() {
    compare_both<Conv, AsConv, 2, 5>("convolution");
    compare_both<ConvMac, AsConv, 1, 5>("convolution, multipliers hardened");
    compare_both<ConvPasses, AsConv, 2, 5>("convolution, multipliers hardened, passes");
    compare_both<ConvTriple, AsConv, 2, 5>("convolution, triple parameters");
    compare_both<ConvDmr, AsConv, 2, 5>("convolution, dmr");
    compare_both<ConvDmrMac, AsConv, 2, 5>("convolution, dmr, multipliers hardened, parity");
    compare_both<ConvRecompute, AsConv, 2, 5>("convolution, recomputed");
    compare_both<ConvRecomputePasses, AsConv, 2, 5>("convolution, recomputed, passes, ecc");
    compare_both<ConvSaturating, AsConv, 2, 5>("convolution, saturating");
    compare_both<ConvSaturatingDmr, AsConv, 2, 5>("convolution, saturating, dmr, multipliers hardened, passes");
    compare_both<Pointwise, AsConv, 2, 5>("pointwise");
    compare_both<Depthwise, AsDepthwise, 3, 3>("depthwise");
    compare_both<DepthwiseMac, AsDepthwise, 3, 3>("depthwise, multipliers hardened, passes, ecc");
    compare_both<DepthwiseRecompute, AsDepthwise, 3, 3>("depthwise, recomputed");
    compare_both<BatchNorm, AsDepthwise, 3, 3>("batch normalisation");
    compare_both<Dense, AsDense, 4, 5>("dense");
    compare_both<DenseMac, AsDense, 12, 1>("dense, multipliers hardened, passes, triple parameters");
    compare_both<DenseRecompute, AsDense, 3, 5>("dense, recomputed");
    check_add<Add>("addition");
    check_add<AddDmr>("addition, dmr");
    return verdict();
}
