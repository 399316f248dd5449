// The C interface of this project for simulation: see firmware/nnet_utils/codesign_csim.h.
#include "firmware/small.cpp"
#include "firmware/nnet_utils/codesign_csim.h"

struct Top {
    void operator()(hls::stream<input_t> & data, hls::stream<result_t> & result, codesign::Guard guard, bool clear, ap_uint<32> *status) const {
        small(data, result, guard, clear, status[0], status[1], status[2], status[3]);
    }
};

extern "C" __attribute__((visibility("default"))) int
codesign_run(const int64_t *inputs, int64_t n_samples, const codesign::Fault *faults, int64_t n_faults, uint32_t guard,
             int clear_each, int64_t *outputs, uint32_t *status, int64_t *hits) {
    return codesign::run_batch_stream<input_t, 6, result_t, 3, 3, 4>(
        Top(), inputs, n_samples, faults, n_faults, guard, clear_each, outputs, status, hits);
}
