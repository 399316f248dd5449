// The C interface of this project for simulation: see firmware/nnet_utils/codesign_csim.h.
#include "firmware/small.h"
#include "firmware/nnet_utils/codesign_csim.h"

struct Top {
    void operator()(input_t *data, result_t *result, codesign::Guard guard, uint32_t &flags) const {
        ap_uint<2> status = 0;
        small(data, result, guard, status);
        flags = status.to_uint();
    }
};

extern "C" __attribute__((visibility("default"))) void
codesign_run(const int64_t *inputs, int64_t n_samples, const codesign::Fault *faults, int64_t n_faults, uint32_t guard,
             int64_t *outputs, uint32_t *flags, int64_t *hits) {
    codesign::run_batch<input_t, 6, result_t, 3, 3>(
        Top(), inputs, n_samples, faults, n_faults, guard, outputs, flags, hits);
}
