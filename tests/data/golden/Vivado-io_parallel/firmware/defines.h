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
typedef ap_fixed<14,6> layer2_t;
typedef ap_ufixed<6,2,AP_RND,AP_SAT,0> layer3_t;
typedef ap_fixed<18,8> relu0_table_t;
typedef ap_fixed<15,7> result_t;

// hls-fpga-machine-learning insert emulator-defines


#endif
