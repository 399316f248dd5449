// The C interface of this project for simulation: see firmware/nnet_utils/codesign_csim.h.
#include "firmware/small.cpp"
#include "firmware/small_axi.cpp"
#include "firmware/nnet_utils/codesign_csim.h"

struct Top {
    void operator()(input_t * data, result_t * result, codesign::Guard guard, bool clear, ap_uint<32> *status) const {
        static input_axi_t in[N_IN];
        static output_axi_t out[N_OUT];
        for (unsigned i = 0; i < N_IN; i++)
            in[i] = input_axi_t(T_in(data[i].to_double()), i == N_IN - 1);
        small_axi(in, out, guard, clear, status[0], status[1], status[2], status[3]);
        for (unsigned i = 0; i < N_OUT; i++)
            result[i] = out[i].data;
    }
};

extern "C" __attribute__((visibility("default"))) int
codesign_run(const int64_t *inputs, int64_t n_samples, const codesign::Fault *faults, int64_t n_faults, uint32_t guard,
             int clear_each, int64_t *outputs, uint32_t *status, int64_t *hits) {
    return codesign::run_batch<input_t, 6, result_t, 3, 3, 4>(
        Top(), inputs, n_samples, faults, n_faults, guard, clear_each, outputs, status, hits);
}
