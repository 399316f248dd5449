// The accelerator on AXI4 streams: beats of CONFIG_T::bits bits come in and go out, samples begin at a new beat.
//
// A sample is its values one after the other, each in a lane of whole bytes, least significant byte first; the rest of
// its last beat is padding. A lane that is wider than a beat takes several of them. TLAST ends a batch: on a sample's
// last beat it is passed on to the last beat of that sample's outputs; before that it ends the sample early, the rest
// of which is zero, and the sample counts as a bad frame.
// CONFIG_T is generated: bits, n_in, lane_in, n_out, lane_out, id_network, id_plan.
#ifndef CODESIGN_AXI_H_
#define CODESIGN_AXI_H_

#include "ap_fixed.h"
#include "ap_int.h"
#include "codesign_taps.h"
#include "hls_stream.h"
#include "nnet_common.h"

namespace codesign {

// A beat for Vivado HLS, which takes the members for TDATA, TKEEP and TLAST by their names. Vitis HLS wants ap_axiu.
template <int W> struct Beat {
    ap_uint<W> data;
    ap_uint<W / 8> keep;
    ap_uint<1> last;
};

// ap_axiu has TSTRB besides, which says the same as TKEEP.
template <int W> void strobe(Beat<W> &) {
    #pragma HLS INLINE
}
template <class beat_T> void strobe(beat_T &beat) {
    #pragma HLS INLINE
    beat.strb = beat.keep;
}

// What goes with a sample from its first beat to its last: bit 0, it ends a batch; bit 1, it was cut short.
typedef ap_uint<2> Frame;

// N values in lanes of LANE bits, in beats of W bits. What a beat has room for is a piece: a lane, or a part of one.
template <int W, int LANE, int N> struct Layout {
    static const int piece = LANE < W ? LANE : W;
    static const int pieces_a_value = LANE / piece;
    static const int pieces_a_beat = W / piece;
    static const int pieces = N * pieces_a_value;
    static const int beats = (pieces + pieces_a_beat - 1) / pieces_a_beat;
};

// A number in its lane: its raw integer with its sign, or with zeros above it.
template <int LANE, int W, int I, ap_q_mode Q, ap_o_mode O, int N>
ap_uint<LANE> to_lane(const ap_fixed<W, I, Q, O, N> &value) {
    #pragma HLS INLINE
    return ap_uint<LANE>(ap_int<LANE>(ap_int<W>(value.range(W - 1, 0))));
}
template <int LANE, int W, int I, ap_q_mode Q, ap_o_mode O, int N>
ap_uint<LANE> to_lane(const ap_ufixed<W, I, Q, O, N> &value) {
    #pragma HLS INLINE
    return ap_uint<LANE>(ap_uint<W>(value.range(W - 1, 0)));
}

// The next beat of a sample, or zeros once its batch has ended. `ended` tells, and stays.
template <class CONFIG_T, class beat_T> ap_uint<CONFIG_T::bits> next_beat(hls::stream<beat_T> &stream, bool &ended) {
    #pragma HLS INLINE
    ap_uint<CONFIG_T::bits> data = 0;
    if (!ended) {
        const beat_T beat = stream.read();
        data = beat.data;
        ended = beat.last != 0;
    }
    return data;
}

template <class CONFIG_T, class beat_T>
void write_beat(hls::stream<beat_T> &stream, const ap_uint<CONFIG_T::bits> &data,
                const ap_uint<CONFIG_T::bits / 8> &keep, bool last) {
    #pragma HLS INLINE
    beat_T beat;
    beat.data = data;
    beat.keep = keep;
    beat.last = last;
    strobe(beat);
    stream.write(beat);
}

// Reads a sample, a beat a cycle, into an array.
template <class CONFIG_T, class beat_T, class value_T>
void load(hls::stream<beat_T> &stream, value_T values[CONFIG_T::n_in], hls::stream<Frame> &frames) {
    typedef Layout<CONFIG_T::bits, CONFIG_T::lane_in, CONFIG_T::n_in> layout;
    ap_uint<layout::piece> pieces[layout::beats * layout::pieces_a_beat];
    #pragma HLS ARRAY_PARTITION variable = pieces complete
    bool ended = false, early = false;
    for (int b = 0; b < layout::beats; b++) {
        #pragma HLS PIPELINE II = 1
        const ap_uint<CONFIG_T::bits> data = next_beat<CONFIG_T>(stream, ended);
        early |= ended && b != layout::beats - 1;
        for (int k = 0; k < layout::pieces_a_beat; k++) {
            #pragma HLS UNROLL
            pieces[b * layout::pieces_a_beat + k] = data.range((k + 1) * layout::piece - 1, k * layout::piece);
        }
    }
    for (int i = 0; i < CONFIG_T::n_in; i++) {
        #pragma HLS UNROLL
        ap_uint<CONFIG_T::lane_in> lane = 0;
        for (int k = 0; k < layout::pieces_a_value; k++) {
            #pragma HLS UNROLL
            lane.range((k + 1) * layout::piece - 1, k * layout::piece) = pieces[i * layout::pieces_a_value + k];
        }
        values[i] = from_bits<value_T>(lane);
    }
    frames.write(Frame(ended) | Frame(early << 1));
}

// Reads a sample, a piece a cycle, into a stream of packs.
template <class CONFIG_T, class beat_T, class pack_T>
void load(hls::stream<beat_T> &stream, hls::stream<pack_T> &packs, hls::stream<Frame> &frames) {
    typedef Layout<CONFIG_T::bits, CONFIG_T::lane_in, CONFIG_T::n_in> layout;
    const int size = pack_T::size;
    bool ended = false, early = false;
    ap_uint<CONFIG_T::bits> data = 0;
    ap_uint<CONFIG_T::lane_in> lane = 0;
    pack_T pack;
    PRAGMA_DATA_PACK(pack)
    int in_beat = 0, in_value = 0, in_pack = 0;
    for (int p = 0; p < layout::pieces; p++) {
        #pragma HLS PIPELINE II = 1
        if (in_beat == 0)
            data = next_beat<CONFIG_T>(stream, ended);
        early |= ended && p / layout::pieces_a_beat != layout::beats - 1;
        lane.range((in_value + 1) * layout::piece - 1, in_value * layout::piece) =
            data.range((in_beat + 1) * layout::piece - 1, in_beat * layout::piece);
        in_beat = in_beat == layout::pieces_a_beat - 1 ? 0 : in_beat + 1;
        if (in_value == layout::pieces_a_value - 1) {
            in_value = 0;
            pack[in_pack] = from_bits<typename pack_T::value_type>(lane);
            if (in_pack == size - 1)
                packs.write(pack);
            in_pack = in_pack == size - 1 ? 0 : in_pack + 1;
        } else {
            in_value++;
        }
    }
    frames.write(Frame(ended) | Frame(early << 1));
}

// Writes a sample's outputs from an array, a beat a cycle.
template <class CONFIG_T, class beat_T, class value_T>
void store(const value_T values[CONFIG_T::n_out], const Frame &frame, hls::stream<beat_T> &stream) {
    typedef Layout<CONFIG_T::bits, CONFIG_T::lane_out, CONFIG_T::n_out> layout;
    ap_uint<layout::piece> pieces[layout::beats * layout::pieces_a_beat];
    #pragma HLS ARRAY_PARTITION variable = pieces complete
    for (int p = 0; p < layout::beats * layout::pieces_a_beat; p++) {
        #pragma HLS UNROLL
        pieces[p] = 0;
    }
    for (int i = 0; i < CONFIG_T::n_out; i++) {
        #pragma HLS UNROLL
        const ap_uint<CONFIG_T::lane_out> lane = to_lane<CONFIG_T::lane_out>(values[i]);
        for (int k = 0; k < layout::pieces_a_value; k++) {
            #pragma HLS UNROLL
            pieces[i * layout::pieces_a_value + k] = lane.range((k + 1) * layout::piece - 1, k * layout::piece);
        }
    }
    for (int b = 0; b < layout::beats; b++) {
        #pragma HLS PIPELINE II = 1
        ap_uint<CONFIG_T::bits> data = 0;
        ap_uint<CONFIG_T::bits / 8> keep = 0;
        for (int k = 0; k < layout::pieces_a_beat; k++) {
            #pragma HLS UNROLL
            data.range((k + 1) * layout::piece - 1, k * layout::piece) = pieces[b * layout::pieces_a_beat + k];
            for (int byte = k * layout::piece / 8; byte < (k + 1) * layout::piece / 8; byte++) {
                #pragma HLS UNROLL
                keep[byte] = b * layout::pieces_a_beat + k < layout::pieces;
            }
        }
        write_beat<CONFIG_T>(stream, data, keep, frame[0] && b == layout::beats - 1);
    }
}

// Writes a sample's outputs from a stream of packs, a piece a cycle.
template <class CONFIG_T, class beat_T, class pack_T>
void store(hls::stream<pack_T> &packs, const Frame &frame, hls::stream<beat_T> &stream) {
    typedef Layout<CONFIG_T::bits, CONFIG_T::lane_out, CONFIG_T::n_out> layout;
    const int size = pack_T::size;
    ap_uint<CONFIG_T::bits> data = 0;
    ap_uint<CONFIG_T::bits / 8> keep = 0;
    ap_uint<CONFIG_T::lane_out> lane = 0;
    pack_T pack;
    PRAGMA_DATA_PACK(pack)
    int in_beat = 0, in_value = 0, in_pack = 0;
    for (int p = 0; p < layout::pieces; p++) {
        #pragma HLS PIPELINE II = 1
        if (in_value == 0) {
            if (in_pack == 0)
                pack = packs.read();
            lane = to_lane<CONFIG_T::lane_out>(pack[in_pack]);
            in_pack = in_pack == size - 1 ? 0 : in_pack + 1;
        }
        data.range((in_beat + 1) * layout::piece - 1, in_beat * layout::piece) =
            lane.range((in_value + 1) * layout::piece - 1, in_value * layout::piece);
        for (int byte = 0; byte < layout::piece / 8; byte++) {
            #pragma HLS UNROLL
            keep[in_beat * (layout::piece / 8) + byte] = 1;
        }
        in_value = in_value == layout::pieces_a_value - 1 ? 0 : in_value + 1;
        if (in_beat == layout::pieces_a_beat - 1 || p == layout::pieces - 1) {
            write_beat<CONFIG_T>(stream, data, keep, frame[0] && p == layout::pieces - 1);
            data = 0;
            keep = 0;
            in_beat = 0;
        } else {
            in_beat++;
        }
    }
}

// Counts what has gone through since reset, and tells which design this is.
template <class CONFIG_T>
void account(const Frame &frame, ap_uint<32> &id_network, ap_uint<32> &id_plan, ap_uint<32> &samples,
             ap_uint<32> &bad_frames) {
    #pragma HLS INLINE
    CODESIGN_REGISTERS(counts, 2, FRAMES);
    #pragma HLS RESET variable = counts
    #pragma HLS ARRAY_PARTITION variable = counts complete
    counts[0] += 1;
    counts[1] += ap_uint<1>(frame[1]);
    id_network = CONFIG_T::id_network;
    id_plan = CONFIG_T::id_plan;
    samples = counts[0];
    bad_frames = counts[1];
}

// Outputs and counters of a sample: an array of values, or a stream of packs.
template <class CONFIG_T, class beat_T, class value_T>
void deliver(const value_T values[CONFIG_T::n_out], hls::stream<Frame> &frames, hls::stream<beat_T> &stream,
             ap_uint<32> &id_network, ap_uint<32> &id_plan, ap_uint<32> &samples, ap_uint<32> &bad_frames) {
    const Frame frame = frames.read();
    store<CONFIG_T, beat_T>(values, frame, stream);
    account<CONFIG_T>(frame, id_network, id_plan, samples, bad_frames);
}
template <class CONFIG_T, class beat_T, class pack_T>
void deliver(hls::stream<pack_T> &packs, hls::stream<Frame> &frames, hls::stream<beat_T> &stream,
             ap_uint<32> &id_network, ap_uint<32> &id_plan, ap_uint<32> &samples, ap_uint<32> &bad_frames) {
    const Frame frame = frames.read();
    store<CONFIG_T, beat_T>(packs, frame, stream);
    account<CONFIG_T>(frame, id_network, id_plan, samples, bad_frames);
}

// The other side of the streams, for a test bench: it stores inputs and loads outputs.
template <class CONFIG_T> struct Reversed {
    static const int bits = CONFIG_T::bits;
    static const int n_in = CONFIG_T::n_out, lane_in = CONFIG_T::lane_out;
    static const int n_out = CONFIG_T::n_in, lane_out = CONFIG_T::lane_in;
};

} // namespace codesign

#endif
