// codesign_axi.h: samples through streams of every width and lanes of every size, as arrays and as packs; TLAST, early
// and in time; the counters.
#include "bench.h"
#include "codesign_axi.h"
#include "codesign_axi_sdata.h"
#include "nnet_types.h"

using namespace codesign;

const int N = 9;

template <int W, int LANE> struct config {
    static const int bits = W, n_in = N, lane_in = LANE, n_out = N, lane_out = LANE;
    static const unsigned id_network = 0xfedcba98, id_plan = 7;
};

// One sample's way in and out again, as an array or as packs.
template <class CONFIG_T, class beat_T, class value_T> struct Arrays {
    static void pass(hls::stream<beat_T> &in, hls::stream<beat_T> &out, ap_uint<32> registers[4]) {
        hls::stream<Frame> frames("frames");
        value_T values[N];
        load<CONFIG_T>(in, values, frames);
        deliver<CONFIG_T>(values, frames, out, registers[0], registers[1], registers[2], registers[3]);
    }
};
template <class CONFIG_T, class beat_T, class value_T, int SIZE> struct Packs {
    static void pass(hls::stream<beat_T> &in, hls::stream<beat_T> &out, ap_uint<32> registers[4]) {
        hls::stream<Frame> frames("frames");
        hls::stream<nnet::array<value_T, SIZE>> packs("packs");
        load<CONFIG_T>(in, packs, frames);
        deliver<CONFIG_T>(packs, frames, out, registers[0], registers[1], registers[2], registers[3]);
    }
};

// A sample's bytes, most of them beyond the values' own bits; and what must come back.
template <int W, int LANE, int WIDTH, bool SIGNED> struct Sample {
    static const int bytes = (N * LANE + W - 1) / W * (W / 8);
    uint8_t sent[bytes], expected[bytes];

    // What is not sent is zero.
    explicit Sample(int bytes_sent = bytes) {
        for (int byte = 0; byte < bytes; byte++)
            sent[byte] = uint8_t(draw(256));
        for (int i = 0; i < N; i++) {
            uint64_t value = 0;
            for (int byte = LANE / 8 - 1; byte >= 0; byte--) {
                const int place = i * (LANE / 8) + byte;
                value = value << 8 | (place < bytes_sent ? sent[place] : 0);
            }
            value <<= 64 - WIDTH;
            value = SIGNED ? uint64_t(int64_t(value) >> (64 - WIDTH)) : value >> (64 - WIDTH);
            for (int byte = 0; byte < LANE / 8; byte++)
                expected[i * (LANE / 8) + byte] = uint8_t(value >> (8 * byte));
        }
        for (int byte = N * LANE / 8; byte < bytes; byte++)
            expected[byte] = 0;
    }
};

template <class beat_T, int W> void write(hls::stream<beat_T> &stream, const uint8_t *bytes, int beats, bool last) {
    for (int b = 0; b < beats; b++) {
        beat_T beat;
        for (int byte = 0; byte < W / 8; byte++)
            beat.data.range(8 * byte + 7, 8 * byte) = bytes[b * (W / 8) + byte];
        beat.keep = ~ap_uint<W / 8>(0);
        beat.last = last && b == beats - 1;
        stream.write(beat);
    }
}

template <class beat_T, int W>
bool reads(hls::stream<beat_T> &stream, const uint8_t *bytes, int used, int beats, bool last) {
    bool equal = int(stream.size()) == beats;
    for (int b = 0; b < beats && !stream.empty(); b++) {
        const beat_T beat = stream.read();
        equal &= bool(beat.last != 0) == (last && b == beats - 1);
        for (int byte = 0; byte < W / 8; byte++) {
            const int place = b * (W / 8) + byte;
            equal &= ap_uint<8>(beat.data.range(8 * byte + 7, 8 * byte)).to_uint() == bytes[place];
            equal &= bool(beat.keep[byte]) == (place < used);
        }
    }
    return equal;
}

// A sample within a batch, one at its end, and one that ends early.
template <class CONFIG_T, class beat_T, class Way, int WIDTH, bool SIGNED> bool passes() {
    const int W = CONFIG_T::bits, LANE = CONFIG_T::lane_in, used = N * LANE / 8;
    typedef Sample<W, LANE, WIDTH, SIGNED> sample_t;
    const int beats = sample_t::bytes / (W / 8);
    hls::stream<beat_T> in("in"), out("out");
    ap_uint<32> registers[4];
    Context context;
    Context::active() = &context;
    bool equal = true;
    for (int last = 0; last < 2; last++) {
        const sample_t sample;
        write<beat_T, W>(in, sample.sent, beats, last);
        Way::pass(in, out, registers);
        equal &= in.empty() && reads<beat_T, W>(out, sample.expected, used, beats, last);
    }
    equal &= registers[2] == 2 && registers[3] == 0;
    if (beats > 1) {
        const sample_t sample(W / 8);
        write<beat_T, W>(in, sample.sent, 1, true);
        Way::pass(in, out, registers);
        equal &= in.empty() && reads<beat_T, W>(out, sample.expected, used, beats, true);
        equal &= registers[2] == 3 && registers[3] == 1;
    }
    equal &= registers[0] == 0xfedcba98 && registers[1] == 7;
    Context::active() = nullptr;
    return equal;
}

template <int W, int LANE, class value_T, bool SIGNED> bool all_ways() {
    typedef config<W, LANE> own;
    typedef Beat<W> beat;
    typedef ap_axiu<W, 0, 0, 0> axi_beat;
    return passes<own, beat, Arrays<own, beat, value_T>, value_T::width, SIGNED>() &&
           passes<own, axi_beat, Packs<own, axi_beat, value_T, 3>, value_T::width, SIGNED>();
}

int main() {
    check(all_ways<32, 8, ap_fixed<7, 3>, true>(), "lanes of 8 bits in beats of 32");
    check(all_ways<32, 64, ap_fixed<48, 20>, true>(), "lanes of 64 bits over beats of 32");
    check(all_ways<64, 16, ap_fixed<16, 6>, true>(), "lanes of 16 bits in beats of 64");
    check(all_ways<128, 8, ap_ufixed<1, 1>, false>(), "lanes of 8 bits in beats of 128");
    check(all_ways<256, 32, ap_fixed<17, 6>, true>(), "lanes of 32 bits in beats of 256");
    check(all_ways<512, 16, ap_fixed<9, 2>, true>(), "lanes of 16 bits in beats of 512");
    return verdict();
}
