// The C interface of a compiled project: a batch of samples under a fault list, in one call.
//
// Only the simulation's glue (csim.cpp) includes this; it is not part of the accelerator.
#ifndef CODESIGN_CSIM_H_
#define CODESIGN_CSIM_H_

#include "codesign_taps.h"
#include "codesign_vote.h"

namespace codesign {

// Faults of a list, by sample; those of the whole trial come first.
class Schedule {
  public:
    Schedule(const Fault *faults, int64_t n_faults, int64_t n_samples, int64_t *hits)
        : faults_(faults), hits_(hits), start_(n_samples + 2), order_(n_faults) {
        for (int64_t k = 0; k < n_faults; k++)
            start_[faults[k].sample + 2]++;
        for (int64_t s = 0; s <= n_samples; s++)
            start_[s + 1] += start_[s];
        std::vector<int64_t> next(start_.begin(), start_.end() - 1);
        for (int64_t k = 0; k < n_faults; k++)
            order_[next[faults[k].sample + 1]++] = k;
    }

    void arm(int64_t sample, Context &context) const {
        for (size_t layer = 0; layer < context.layers.size(); layer++)
            context.layers[layer].clear();
        collect(ALL_SAMPLES, context);
        collect(sample, context);
        for (size_t layer = 0; layer < context.layers.size(); layer++)
            std::sort(context.layers[layer].begin(), context.layers[layer].end());
    }

  private:
    void collect(int64_t sample, Context &context) const {
        for (int64_t k = start_[sample + 1]; k < start_[sample + 2]; k++) {
            const Armed armed = {faults_[order_[k]], hits_ + order_[k]};
            context.layers[armed.fault.layer].push_back(armed);
        }
    }

    const Fault *faults_;
    int64_t *hits_;
    std::vector<int64_t> start_, order_;
};

// The raw integer of a signed or unsigned fixed-point number.
template <int W, int I, ap_q_mode Q, ap_o_mode O, int N> int64_t raw(const ap_fixed<W, I, Q, O, N> &value) {
    ap_int<W> bits;
    bits.range(W - 1, 0) = value.range(W - 1, 0);
    return bits.to_int64();
}
template <int W, int I, ap_q_mode Q, ap_o_mode O, int N> int64_t raw(const ap_ufixed<W, I, Q, O, N> &value) {
    ap_uint<W> bits;
    bits.range(W - 1, 0) = value.range(W - 1, 0);
    return bits.to_int64();
}

// Raw integers in, raw integers out; flags[s] has one bit a protected layer. Thread-safe: the state is
// the calling thread's. The caller has checked layers, samples and shapes.
template <class input_T, int N_IN, class result_T, int N_OUT, int N_LAYERS, class Top>
void run_batch(Top top, const int64_t *inputs, int64_t n_samples, const Fault *faults, int64_t n_faults,
               uint32_t guard, int64_t *outputs, uint32_t *flags, int64_t *hits) {
    const Schedule schedule(faults, n_faults, n_samples, hits);
    Context context;
    context.layers.resize(N_LAYERS);
    Context::current() = &context;
    for (int64_t sample = 0; sample < n_samples; sample++) {
        if (n_faults)
            schedule.arm(sample, context);
        context.sticky = 0;
        input_T data[N_IN];
        result_T result[N_OUT];
        for (int i = 0; i < N_IN; i++)
            data[i].range(input_T::width - 1, 0) = ap_int<64>(inputs[sample * N_IN + i]).range(input_T::width - 1, 0);
        top(data, result, Guard(guard), flags[sample]);
        for (int o = 0; o < N_OUT; o++)
            outputs[sample * N_OUT + o] = raw(result[o]);
    }
    Context::current() = nullptr;
}

} // namespace codesign

#endif
