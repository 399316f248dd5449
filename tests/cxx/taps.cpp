// codesign_taps.h: words wrap as ap_int does; faults are found where they are armed, and counted.
#include "ap_fixed.h"
#include "bench.h"
#include "codesign_taps.h"
#include "nnet_types.h"

using namespace codesign;

template <int W> bool words_are_like_ap_int() {
    bool same = true;
    for (int trial = 0; trial < 1000; trial++) {
        const int64_t a = draw_signed(31) * draw_signed(30), b = draw_signed(31) * draw_signed(30);
        const ap_int<W> p = a, q = b;
        const ap_uint<W> u = a;
        Int<W> x = a, y = b;
        UInt<W> z = a;
        same &= int64_t(x) == p.to_int64() && uint64_t(z) == u.to_uint64();
        same &= int64_t(Int<W>(x + y)) == ap_int<W>(p + q).to_int64();
        same &= int64_t(Int<W>(x >> (W / 2))) == ap_int<W>(p >> (W / 2)).to_int64();
        same &= int64_t(Int<W>((x & y) | ~y)) == ap_int<W>((p & q) | ~q).to_int64();
        const int bit = int(draw(W));
        ap_int<W> flipped = p;
        flipped[bit] = !flipped[bit];
        x[bit] = !x[bit];
        same &= int64_t(x) == flipped.to_int64() && bool(z[bit]) == bool(u[bit]);
    }
    return same;
}

// Every combination of places, one fault each; every use of the layer must find exactly its own.
bool faults_are_found() {
    Context context;
    context.layers.resize(1);
    std::vector<int64_t> hits;
    hits.reserve(1000);
    for (int32_t neuron = SHARED_UNIT; neuron < 3; neuron++)
        for (int32_t step = EVERY; step < 3; step++)
            for (int32_t target = WEIGHT; target <= VOTER; target++)
                for (int32_t position = 0; position < 3; position++) {
                    hits.push_back(0);
                    const Armed armed = {{0, target, neuron, position, 1, step + 1, 0, step}, &hits.back()};
                    context.layers[0].push_back(armed);
                }
    std::sort(context.layers[0].begin(), context.layers[0].end());
    Context::active() = &context;
    bool right = true;
    for (unsigned neuron = 0; neuron < 3; neuron++)
        for (unsigned step = 0; step < 4; step++)
            for (unsigned position = 0; position < 4; position++) {
                const int there = position < 3, now = step < 3;
                const int own = there * (1 + (now << (step + 1))); // bit 0 of every step, bit step + 1 of its own
                const StepTaps taps = LayerTaps(0).neuron(neuron).at(step);
                right &= int(taps.word(PRODUCT, position, 1, UInt<8>(0))) == own;
                right &= int(taps.word(PRODUCT, position, 0, UInt<8>(0))) == 0;
                // The shared unit's faults strike every replica.
                const StepTaps again = LayerTaps(0).recomputed(neuron).at(step);
                right &= int(again.word(PRODUCT, position, 2, UInt<8>(0))) == there;
                right &= int(again.word(PRODUCT, position, 1, UInt<8>(0))) == (own ^ there);
            }
    right &= !LayerTaps(0).neuron(3).at(0).armed() && LayerTaps(0).neuron(2).at(7).armed();
    Context::active() = nullptr;
    int64_t total = 0;
    for (std::size_t k = 0; k < hits.size(); k++)
        total += hits[k];
    // Of 3 neurons, 4 steps, 3 positions: the persistent ones each time, those of a step at theirs; the unit's twice.
    return right && total == 2 * (3 * 4 * 3 + 3 * 3 * 3) + 2 * 3 * 4 * 3 && !LayerTaps(0).armed();
}

// Channel 1 of pixel 2, in an array and in a stream of the same values.
bool outputs_are_tapped() {
    typedef ap_fixed<6, 3> value_t;
    typedef nnet::array<value_t, 3> pack_t;
    int64_t hits = 0;
    const Armed armed = {{1, ACTIVATION, 1, 0, 0, 5, 0, 2}, &hits};
    Context context;
    context.layers.resize(2);
    context.layers[1].push_back(armed);
    Context::active() = &context;
    value_t values[12];
    hls::stream<pack_t> stream;
    for (int i = 0; i < 12; i += 3) {
        pack_t pack;
        for (int k = 0; k < 3; k++)
            pack[k] = values[i + k] = from_bits<value_t>(i + k);
        stream.write(pack);
    }
    CODESIGN_TAP_OUTPUTS(value_t, 12, 3, values, 1);
    CODESIGN_TAP_OUTPUTS(pack_t, 12, 3, stream, 1);
    CODESIGN_TAP_OUTPUTS(value_t, 12, 3, values, 0);
    Context::active() = nullptr;
    bool right = hits == 2;
    for (int i = 0; i < 12; i += 3) {
        const pack_t pack = stream.read();
        for (int k = 0; k < 3; k++) {
            const int64_t expected = i + k == 7 ? 7 - 32 : i + k;
            right &= bits_of(values[i + k]) == expected && bits_of(pack[k]) == expected;
        }
    }
    return right && stream.empty();
}

int main() {
    check(words_are_like_ap_int<1>() && words_are_like_ap_int<7>() && words_are_like_ap_int<32>() &&
              words_are_like_ap_int<48>() && words_are_like_ap_int<64>(),
          "words are like ap_int");
    check(faults_are_found(), "faults are found where they are armed");
    check(outputs_are_tapped(), "output registers are tapped by channel and pixel");
    return verdict();
}
