#include "small_axi.h"

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
) {
    #pragma HLS INTERFACE axis port=stream_in
    #pragma HLS INTERFACE axis port=stream_out
    #pragma HLS INTERFACE s_axilite port=guard bundle=control offset=0x10
    #pragma HLS INTERFACE s_axilite port=clear bundle=control offset=0x20
    #pragma HLS INTERFACE s_axilite port=status_corrected bundle=control offset=0x30
    #pragma HLS INTERFACE s_axilite port=status_detected bundle=control offset=0x40
    #pragma HLS INTERFACE s_axilite port=events_fc0 bundle=control offset=0x50
    #pragma HLS INTERFACE s_axilite port=events_fc1 bundle=control offset=0x60
    #pragma HLS INTERFACE s_axilite port=id_network bundle=control offset=0x70
    #pragma HLS INTERFACE s_axilite port=id_plan bundle=control offset=0x80
    #pragma HLS INTERFACE s_axilite port=samples bundle=control offset=0x90
    #pragma HLS INTERFACE s_axilite port=bad_frames bundle=control offset=0xa0
    #pragma HLS INTERFACE ap_ctrl_none port=return
    #pragma HLS DATAFLOW

    // Goes past the accelerator, which has several samples under way.
    hls::stream<codesign::Frame> frames("frames");
    #pragma HLS STREAM variable=frames depth=64
    input_t x[6];
    #pragma HLS ARRAY_RESHAPE variable=x complete dim=0
    result_t layer4_out[3];
    #pragma HLS ARRAY_PARTITION variable=layer4_out complete dim=0

    codesign::load<stream_config>(stream_in, x, frames);
    small(x, layer4_out, guard, clear, status_corrected, status_detected, events_fc0, events_fc1);
    codesign::deliver<stream_config>(layer4_out, frames, stream_out, id_network, id_plan, samples, bad_frames);
}
