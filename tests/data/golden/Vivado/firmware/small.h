#ifndef SMALL_H_
#define SMALL_H_

#include "ap_fixed.h"
#include "ap_int.h"
#include "hls_stream.h"

#include "defines.h"
#include "nnet_utils/codesign_vote.h"


// Prototype of top level function for C-synthesis
void small(
    input_t x[6],
    result_t layer4_out[3],
    codesign::Guard guard,
    ap_uint<2> &status
);

// hls-fpga-machine-learning insert emulator-defines


#endif
