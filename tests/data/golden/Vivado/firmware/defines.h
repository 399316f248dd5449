#ifndef DEFINES_H_
#define DEFINES_H_

#include "ap_fixed.h"
#include "ap_int.h"
#include "nnet_utils/nnet_types.h"
#include <array>
#include <cstddef>
#include <cstdio>
#include <tuple>
#include <tuple>


// hls-fpga-machine-learning insert numbers

// hls-fpga-machine-learning insert layer-precision
typedef ap_ufixed<6,1> input_t;
typedef ap_fixed<14,6> fc0_accum_t;
typedef ap_fixed<14,6> layer2_t;
typedef ap_fixed<5,2> fc0_weight_t;
typedef ap_fixed<6,3> fc0_bias_t;
typedef ap_uint<1> layer2_index;
typedef ap_ufixed<6,2,AP_RND,AP_SAT,0> layer3_t;
typedef ap_fixed<18,8> relu0_table_t;
typedef ap_fixed<15,7> fc1_accum_t;
typedef ap_fixed<15,7> result_t;
typedef ap_fixed<5,2> fc1_weight_t;
typedef ap_fixed<6,3> fc1_bias_t;
typedef ap_uint<1> layer4_index;

// hls-fpga-machine-learning insert emulator-defines


#endif
