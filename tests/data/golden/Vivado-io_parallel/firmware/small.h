#ifndef SMALL_H_
#define SMALL_H_

#include "ap_fixed.h"
#include "ap_int.h"
#include "hls_stream.h"

#include "defines.h"
#include "nnet_utils/codesign_vote.h"

// The accelerator. The ports behind the data are registers, described in codesign.json.
void small(
    input_t x[6],
    result_t layer4_out[3],
    codesign::Guard guard,
    bool clear,
    ap_uint<32> &status_corrected,
    ap_uint<32> &status_detected,
    ap_uint<32> &events_fc0,
    ap_uint<32> &events_fc1
);

#endif
