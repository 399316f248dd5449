#ifndef SMALL_AXI_H_
#define SMALL_AXI_H_

#include "small.h"
#include "ap_axi_sdata.h"
#include "nnet_utils/codesign_axi.h"

// A beat of the streams.
typedef ap_axiu<128, 0, 0, 0> beat_t;

// How samples lie in beats, and which design this is: see codesign.json.
struct stream_config {
    static const int bits = 128;
    static const int n_in = 6;
    static const int lane_in = 8;
    static const int n_out = 3;
    static const int lane_out = 16;
    static const unsigned id_network = 0xf058232e;
    static const unsigned id_plan = 0xfa6ddfff;
};

// The accelerator on AXI streams, free running. The ports behind the streams are registers, described in codesign.json.
void small_axi(
    hls::stream<beat_t> &stream_in,
    hls::stream<beat_t> &stream_out,
    codesign::Guard guard,
    bool clear,
    ap_uint<32> &status_corrected,
    ap_uint<32> &status_detected,
    ap_uint<32> &events_fc0,
    ap_uint<32> &events_fc1,
    ap_uint<32> &id_network,
    ap_uint<32> &id_plan,
    ap_uint<32> &samples,
    ap_uint<32> &bad_frames
);

#endif
