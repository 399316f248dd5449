#ifndef PARAMETERS_H_
#define PARAMETERS_H_

#include "ap_fixed.h"
#include "ap_int.h"

#include "nnet_utils/nnet_code_gen.h"
#include "nnet_utils/nnet_helpers.h"
// hls-fpga-machine-learning insert includes
#include "nnet_utils/codesign_layers.h"
#include "nnet_utils/nnet_activation.h"
#include "nnet_utils/nnet_activation_stream.h"
#include "nnet_utils/nnet_mult.h"
#include "weights/fc0_biases.h"
#include "weights/fc0_weights.h"
#include "weights/fc1_biases.h"
#include "weights/fc1_weights.h"

// hls-fpga-machine-learning insert weights


// hls-fpga-machine-learning insert layer-config
// fc0
struct fc0_config {
    static const int layer_id = 0;
    static const int in_height = 1;
    static const int in_width = 1;
    static const int n_chan = 6;
    static const int filt_height = 1;
    static const int filt_width = 1;
    static const int stride_height = 1;
    static const int stride_width = 1;
    static const int pad_top = 0;
    static const int pad_bottom = 0;
    static const int pad_left = 0;
    static const int pad_right = 0;
    static const int out_height = 1;
    static const int out_width = 1;
    static const int n_filt = 5;
    static const int reuse_factor = 1;
    typedef ap_fixed<14,6,AP_TRN,AP_WRAP,0> accum_t;
    typedef ap_fixed<5,2,AP_TRN,AP_WRAP,0> weight_t;
    typedef ap_fixed<6,3,AP_TRN,AP_WRAP,0> bias_t;
    template <class x_T, class w_T> using product = nnet::product::mult<x_T, w_T>;
    static constexpr unsigned char hardened_bits[5] = {0, 3, 14, 13, 1};
    static const codesign::Mechanism mechanism = codesign::Mechanism::TMR;
    static const bool harden_multipliers = false;
    static const unsigned dot_size = 1;
    static const codesign::Code parameter_code = codesign::Code::PLAIN;
};

// relu0
struct relu_config3 : nnet::activ_config {
    static const unsigned n_in = 5;
    static const unsigned table_size = 1024;
    static const unsigned io_type = nnet::io_parallel;
    static const unsigned reuse_factor = 1;
    typedef relu0_table_t table_t;
};

// fc1
struct fc1_config {
    static const int layer_id = 2;
    static const int in_height = 1;
    static const int in_width = 1;
    static const int n_chan = 5;
    static const int filt_height = 1;
    static const int filt_width = 1;
    static const int stride_height = 1;
    static const int stride_width = 1;
    static const int pad_top = 0;
    static const int pad_bottom = 0;
    static const int pad_left = 0;
    static const int pad_right = 0;
    static const int out_height = 1;
    static const int out_width = 1;
    static const int n_filt = 3;
    static const int reuse_factor = 1;
    typedef ap_fixed<15,7,AP_TRN,AP_WRAP,0> accum_t;
    typedef ap_fixed<5,2,AP_TRN,AP_WRAP,0> weight_t;
    typedef ap_fixed<6,3,AP_TRN,AP_WRAP,0> bias_t;
    template <class x_T, class w_T> using product = nnet::product::mult<x_T, w_T>;
    static constexpr unsigned char hardened_bits[3] = {0, 3, 15};
    static const codesign::Mechanism mechanism = codesign::Mechanism::TMR;
    static const bool harden_multipliers = false;
    static const unsigned dot_size = 1;
    static const codesign::Code parameter_code = codesign::Code::PLAIN;
};



#endif
