#include "small.h"
#include "nnet_utils/codesign_status.h"
#include "parameters.h"

// The status registers take in the events of a sample.
static void update_status(
    const codesign::Flags &fc0_flags,
    const codesign::Flags &fc1_flags,
    bool clear,
    ap_uint<32> &status_corrected,
    ap_uint<32> &status_detected,
    ap_uint<32> &events_fc0,
    ap_uint<32> &events_fc1
) {
    const codesign::Flags flags[2] = {fc0_flags, fc1_flags};
    #pragma HLS ARRAY_PARTITION variable=flags complete
    ap_uint<32> words[4];
    #pragma HLS ARRAY_PARTITION variable=words complete
    codesign::report<2>(flags, clear, words);
    status_corrected = words[0];
    status_detected = words[1];
    events_fc0 = words[2];
    events_fc1 = words[3];
}

void small(
    input_t x[6],
    result_t layer4_out[3],
    codesign::Guard guard,
    bool clear,
    ap_uint<32> &status_corrected,
    ap_uint<32> &status_detected,
    ap_uint<32> &events_fc0,
    ap_uint<32> &events_fc1
) {
    #pragma HLS ARRAY_RESHAPE variable=x complete dim=0
    #pragma HLS ARRAY_PARTITION variable=layer4_out complete dim=0
    #pragma HLS PIPELINE

    codesign::Flags fc0_flags;
    codesign::Flags fc1_flags;
    layer2_t layer2_out[5];
    #pragma HLS ARRAY_PARTITION variable=layer2_out complete dim=0
    layer3_t layer3_out[5];
    #pragma HLS ARRAY_PARTITION variable=layer3_out complete dim=0

    nnet::protected_dense<input_t, layer2_t, fc0_config>(x, layer2_out, fc0_weights, fc0_biases, guard, fc0_flags); // fc0
    CODESIGN_TAP_OUTPUTS(layer2_t, 5, 5, layer2_out, 0);
    nnet::relu<layer2_t, layer3_t, relu_config3>(layer2_out, layer3_out); // relu0
    CODESIGN_TAP_OUTPUTS(layer3_t, 5, 5, layer3_out, 1);
    nnet::protected_dense<layer3_t, result_t, fc1_config>(layer3_out, layer4_out, fc1_weights, fc1_biases, guard, fc1_flags); // fc1
    CODESIGN_TAP_OUTPUTS(result_t, 3, 3, layer4_out, 2);
    update_status(fc0_flags, fc1_flags, clear, status_corrected, status_detected, events_fc0, events_fc1);
}
