// What synthesis reads of the headers, run with the vendor's own words: every mechanism gives the same integers as a
// plain loop, a raised guard is noticed, and the status registers keep their content.
#include "ap_fixed.h"
#include "ap_int.h"
#include "bench.h"
#include "hls_stream.h"
#include "nnet_mult.h"
#include "nnet_types.h"
// From here on only our own headers look at it; the vendor's would want their compiler.
#define __SYNTHESIS__
#include "codesign_axi.h"
#include "codesign_layers.h"
#include "codesign_status.h"

using namespace codesign;

typedef ap_fixed<8, 3> data_t;
typedef ap_fixed<12, 5> res_t;

struct Conv {
    static const int layer_id = 0;
    static const unsigned in_height = 4, in_width = 3, n_chan = 2, filt_height = 2, filt_width = 2, stride_height = 1,
                          stride_width = 1, pad_top = 1, pad_bottom = 0, pad_left = 0, pad_right = 0, out_height = 4,
                          out_width = 2, n_filt = 4, reuse_factor = 1, dot_size = 3;
    typedef ap_fixed<18, 8> accum_t;
    typedef ap_fixed<8, 1> weight_t, bias_t;
    static constexpr unsigned char hardened_bits[n_filt] = {0, 6, 18, 17};
    static const Mechanism mechanism = Mechanism::TMR;
    static const bool harden_multipliers = false;
    static const Code parameter_code = Code::PLAIN;
    template <class x_T, class w_T> using product = nnet::product::mult<x_T, w_T>;
};
struct Multipliers : Conv {
    static const unsigned reuse_factor = 4;
    static const bool harden_multipliers = true;
    static const Code parameter_code = Code::TRIPLE;
};
struct Dmr : Conv {
    static const Mechanism mechanism = Mechanism::DMR;
};
struct Recompute : Conv {
    static const unsigned reuse_factor = 2;
    static const Mechanism mechanism = Mechanism::RECOMPUTE;
};
struct Clipped : Conv {
    typedef ap_fixed<18, 8, AP_TRN, AP_SAT> accum_t;
    static constexpr unsigned char hardened_bits[n_filt] = {0, 18, 18, 0};
};

const int INPUTS = 24, OUTPUTS = 32, WEIGHTS = 32;

template <class C> bool gives_the_same_integers() {
    bool right = true;
    int raised = 0;
    for (int trial = 0; trial < 50; trial++) {
        int64_t raw[INPUTS];
        data_t data[INPUTS];
        res_t result[OUTPUTS];
        hls::stream<nnet::array<data_t, 2>> in;
        hls::stream<nnet::array<res_t, 4>> out;
        for (int i = 0; i < INPUTS; i++)
            data[i] = from_bits<data_t>(raw[i] = draw_signed(8));
        for (int i = 0; i < INPUTS; i += 2) {
            nnet::array<data_t, 2> pack;
            pack[0] = data[i];
            pack[1] = data[i + 1];
            in.write(pack);
        }
        short weights[3 * WEIGHTS], biases[12];
        for (int i = 0; i < 3 * WEIGHTS; i++)
            weights[i] = i < WEIGHTS ? draw_signed(8) : weights[i - WEIGHTS];
        for (int i = 0; i < 12; i++)
            biases[i] = i < 4 ? draw_signed(8) : biases[i - 4];
        Flags flags = Flags(), stream_flags = Flags(), guarded_flags = Flags();
        nnet::protected_conv<data_t, res_t, C>(data, result, weights, biases, 0, flags);
        nnet::protected_conv<nnet::array<data_t, 2>, nnet::array<res_t, 4>, C>(in, out, weights, biases, 0,
                                                                               stream_flags);
        for (int pixel = 0; pixel < OUTPUTS / 4; pixel++) {
            const nnet::array<res_t, 4> pack = out.read();
            for (int j = 0; j < 4; j++) {
                int64_t sum = biases[j] * 8; // 7 fractional bits, the accumulator has 10, the products 12
                for (int k = 0; k < 8; k++) {
                    const int y = pixel / 2 - 1 + k / 4, x = pixel % 2 + k / 2 % 2;
                    sum += y < 0 ? 0 : (raw[(y * 3 + x) * 2 + k % 2] * weights[k * 4 + j]) >> 2;
                }
                const res_t expected = from_bits<res_t>(sum >> 3);
                right &= result[pixel * 4 + j] == expected && pack[j] == expected;
            }
        }
        right &= !flags.corrected && !flags.detected && !stream_flags.corrected && !stream_flags.detected;
        nnet::protected_conv<data_t, res_t, C>(data, result, weights, biases, 2, guarded_flags);
        raised += guarded_flags.corrected || guarded_flags.detected;
    }
    return right && raised > 40;
}

bool registers_keep_their_content() {
    ap_uint<32> status[3];
    Flags flags[1] = {};
    flags[0].corrected = true;
    report<1>(flags, true, status);
    report<1>(flags, false, status);
    const bool counted = status[0] == 1 && status[1] == 0 && status[2] == 2;
    flags[0].detected = true;
    report<1>(flags, true, status);
    return counted && status[0] == 1 && status[1] == 1 && status[2] == 0x10001;
}

struct Streams {
    static const int bits = 32, n_in = 3, lane_in = 16, n_out = 3, lane_out = 16;
    static const unsigned id_network = 5, id_plan = 6;
};

// Two beats in, the second one missing; the same values out.
bool a_sample_goes_through_streams() {
    typedef Beat<32> beat_t;
    hls::stream<beat_t> in("in"), out("out");
    hls::stream<Frame> frames("frames");
    ap_fixed<12, 5> values[3];
    ap_uint<32> id_network, id_plan, samples, bad_frames;
    const beat_t beat = {0x0fff0800, 15, 1};
    in.write(beat);
    load<Streams>(in, values, frames);
    deliver<Streams>(values, frames, out, id_network, id_plan, samples, bad_frames);
    const beat_t first = out.read(), second = out.read();
    return first.data == 0xfffff800 && first.keep == 15 && first.last == 0 && second.data == 0 && second.keep == 3 &&
           second.last == 1 && id_network == 5 && id_plan == 6 && samples == 1 && bad_frames == 1;
}

int main() {
    check(a_sample_goes_through_streams(), "a sample that ends early goes through streams");
    check(gives_the_same_integers<Conv>(), "adders hardened");
    check(gives_the_same_integers<Multipliers>(), "multipliers hardened, in passes, triple parameters");
    check(gives_the_same_integers<Dmr>(), "two copies");
    check(gives_the_same_integers<Recompute>(), "recomputed, in passes");
    check(gives_the_same_integers<Clipped>(), "saturating");
    check(registers_keep_their_content(), "status registers keep their content");
    return verdict();
}
