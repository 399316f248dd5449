#include "small_axi.h"

void small_axi(input_axi_t in[N_IN], output_axi_t out[N_OUT],
    codesign::Guard guard,
    bool clear,
    ap_uint<32> &status_corrected,
    ap_uint<32> &status_detected,
    ap_uint<32> &events_fc0,
    ap_uint<32> &events_fc1) {

    #pragma HLS INTERFACE axis port=in
    #pragma HLS INTERFACE axis port=out
    #pragma HLS INTERFACE s_axilite port=guard bundle=control offset=0x10
    #pragma HLS INTERFACE s_axilite port=clear bundle=control offset=0x20
    #pragma HLS INTERFACE s_axilite port=status_corrected bundle=control offset=0x30
    #pragma HLS INTERFACE s_axilite port=status_detected bundle=control offset=0x40
    #pragma HLS INTERFACE s_axilite port=events_fc0 bundle=control offset=0x50
    #pragma HLS INTERFACE s_axilite port=events_fc1 bundle=control offset=0x60
    #pragma HLS INTERFACE ap_ctrl_none port=return

    bool is_last = false;
    input_t in_local[N_IN];
    result_t out_local[N_OUT];

    for(unsigned i = 0; i < N_IN; i++){
        #pragma HLS PIPELINE
        in_local[i] = in[i].data; // Read input with cast
        is_last |= (in[i].last == 1)? true: false;
    }

    small(in_local, out_local, guard, clear, status_corrected, status_detected, events_fc0, events_fc1);

    for(unsigned i = 0; i < N_OUT; i++){
        #pragma HLS PIPELINE
        out[i].data = out_local[i]; // Write output with cast
        out[i].last = (is_last && (i == N_OUT - 1))? true : false;
    }
}
