#include <iostream>

#include "small.h"
#include "parameters.h"


void small(
    input_t x[6],
    result_t layer4_out[3],
    codesign::Guard guard,
    ap_uint<2> &status
) {

    // hls-fpga-machine-learning insert IO
    #pragma HLS ARRAY_RESHAPE variable=x complete dim=0
    #pragma HLS ARRAY_PARTITION variable=layer4_out complete dim=0
    #pragma HLS INTERFACE ap_vld port=x,layer4_out 
    #pragma HLS INTERFACE ap_none port=guard
    #pragma HLS INTERFACE ap_vld port=status
    #pragma HLS PIPELINE

    // hls-fpga-machine-learning insert load weights

    // ****************************************
    // NETWORK INSTANTIATION
    // ****************************************

    ap_uint<2> corrected = 0;

    // hls-fpga-machine-learning insert layers

    layer2_t layer2_out[5];
    #pragma HLS ARRAY_PARTITION variable=layer2_out complete dim=0

    layer3_t layer3_out[5];
    #pragma HLS ARRAY_PARTITION variable=layer3_out complete dim=0

    corrected[0] = nnet::protected_dense<input_t, layer2_t, config2>(x, layer2_out, w2, b2, guard); // fc0
    codesign::tap_outputs<layer2_t, 5>(layer2_out, 0);

    nnet::relu<layer2_t, layer3_t, relu_config3>(layer2_out, layer3_out); // relu0
    codesign::tap_outputs<layer3_t, 5>(layer3_out, 1);

    corrected[1] = nnet::protected_dense<layer3_t, result_t, config4>(layer3_out, layer4_out, w4, b4, guard); // fc1
    codesign::tap_outputs<result_t, 3>(layer4_out, 2);

    status = codesign::sticky<2>(corrected);
}
