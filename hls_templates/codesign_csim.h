// The C interface of a compiled project: a batch of samples under a fault list, in one call.
//
// Only the simulation's glue (csim.cpp) includes this; it is not part of the accelerator. Numbers go in and come out
// as raw integers. `top` is called as top(input, output, guard, clear, status), with arrays of values or with streams
// of packs. Thread-safe: the state is the calling thread's. The caller has checked layers, samples and shapes.
#ifndef CODESIGN_CSIM_H_
#define CODESIGN_CSIM_H_

#include "codesign_taps.h"
#include "codesign_vote.h"

namespace codesign {

// A list of faults, by sample; those of every sample come first.
class Schedule {
  public:
    Schedule(const Fault *faults, int64_t n_faults, int n_layers, int64_t *hits) : n_layers_(n_layers) {
        for (int64_t k = 0; k < n_faults; k++) {
            const Armed armed = {faults[k], hits + k};
            armed_.push_back(armed);
        }
        std::sort(armed_.begin(), armed_.end(), [](const Armed &a, const Armed &b) {
            if (a.fault.sample != b.fault.sample)
                return a.fault.sample < b.fault.sample;
            return a.fault.layer != b.fault.layer ? a.fault.layer < b.fault.layer : a < b;
        });
    }

    // Arm what may strike a sample.
    void arm(int64_t sample, Context &context) const {
        if (armed_.empty())
            return;
        context.layers.resize(n_layers_);
        for (int layer = 0; layer < n_layers_; layer++) {
            const Range every = range(EVERY, layer), own = range(sample, layer);
            std::vector<Armed> &list = context.layers[layer];
            list.resize((every.second - every.first) + (own.second - own.first));
            std::merge(every.first, every.second, own.first, own.second, list.begin());
        }
    }

  private:
    typedef std::pair<std::vector<Armed>::const_iterator, std::vector<Armed>::const_iterator> Range;

    Range range(int64_t sample, int layer) const {
        const std::pair<int64_t, int64_t> key(sample, layer);
        const auto first =
            std::partition_point(armed_.begin(), armed_.end(), [=](const Armed &armed) { return key_of(armed) < key; });
        return Range(
            first, std::partition_point(first, armed_.end(), [=](const Armed &armed) { return key_of(armed) == key; }));
    }
    static std::pair<int64_t, int64_t> key_of(const Armed &armed) {
        return std::pair<int64_t, int64_t>(armed.fault.sample, armed.fault.layer);
    }

    const int n_layers_;
    std::vector<Armed> armed_;
};

// Simulates in a context, by the calling thread, until it is gone.
class Simulation {
  public:
    Simulation(Context &context, const Fault *faults, int64_t n_faults, int n_layers, int64_t *hits)
        : schedule_(faults, n_faults, n_layers, hits), context_(context) {
        Context::active() = &context_;
    }
    ~Simulation() {
        context_.layers.clear(); // they point to this call's hits
        Context::active() = nullptr;
    }
    Simulation(const Simulation &) = delete;
    Simulation &operator=(const Simulation &) = delete;

    // Arm a sample's faults.
    void arm(int64_t sample) { schedule_.arm(sample, context_); }

    // The same, and run it.
    template <int N_STATUS, class Top, class Input, class Output>
    void run(Top &top, int64_t sample, Input &input, Output &output, uint32_t guard, bool clear, uint32_t *status) {
        arm(sample);
        ap_uint<32> words[N_STATUS];
        top(input, output, Guard(guard), clear, words);
        for (int word = 0; word < N_STATUS; word++)
            status[sample * N_STATUS + word] = words[word].to_uint();
    }

  private:
    const Schedule schedule_;
    Context &context_;
};

// The raw integer of a number.
template <int W> int64_t raw(const ap_int<W> &value) { return value.to_int64(); }
template <int W> int64_t raw(const ap_uint<W> &value) { return value.to_int64(); }
template <int W, int I, ap_q_mode Q, ap_o_mode O, int N> int64_t raw(const ap_fixed<W, I, Q, O, N> &value) {
    return bits_of(value);
}
template <int W, int I, ap_q_mode Q, ap_o_mode O, int N> int64_t raw(const ap_ufixed<W, I, Q, O, N> &value) {
    return UInt<W>(bits_of(value));
}

// A top function with array ports. Outputs of shape (n_samples, N_OUT), status (n_samples, N_STATUS), hits (n_faults).
// Says whether all went well, as it always does.
template <class input_T, int N_IN, class result_T, int N_OUT, int N_LAYERS, int N_STATUS, class Top>
bool run_batch(Top top, const int64_t *inputs, int64_t n_samples, const Fault *faults, int64_t n_faults, uint32_t guard,
               bool clear_each, int64_t *outputs, uint32_t *status, int64_t *hits) {
    Context context;
    Simulation simulation(context, faults, n_faults, N_LAYERS, hits);
    for (int64_t sample = 0; sample < n_samples; sample++) {
        input_T data[N_IN];
        result_T result[N_OUT];
        for (int i = 0; i < N_IN; i++)
            data[i] = from_bits<input_T>(inputs[sample * N_IN + i]);
        simulation.run<N_STATUS>(top, sample, data, result, guard, clear_each, status);
        for (int o = 0; o < N_OUT; o++)
            outputs[sample * N_OUT + o] = raw(result[o]);
    }
    return true;
}

// A top function with streams of packs, of N_IN and N_OUT values in all. False when it reads less than it is given, or
// writes more or less than it should: hardware would stall.
template <class input_T, int N_IN, class result_T, int N_OUT, int N_LAYERS, int N_STATUS, class Top>
bool run_batch_stream(Top top, const int64_t *inputs, int64_t n_samples, const Fault *faults, int64_t n_faults,
                      uint32_t guard, bool clear_each, int64_t *outputs, uint32_t *status, int64_t *hits) {
    const int in_size = input_T::size, out_size = result_T::size;
    static_assert(N_IN % input_T::size == 0 && N_OUT % result_T::size == 0, "whole packs only");
    Context context;
    Simulation simulation(context, faults, n_faults, N_LAYERS, hits);
    for (int64_t sample = 0; sample < n_samples; sample++) {
        hls::stream<input_T> data("input");
        hls::stream<result_T> result("output");
        for (int i = 0; i < N_IN; i += in_size) {
            input_T pack;
            for (int k = 0; k < in_size; k++)
                pack[k] = from_bits<typename input_T::value_type>(inputs[sample * N_IN + i + k]);
            data.write(pack);
        }
        simulation.run<N_STATUS>(top, sample, data, result, guard, clear_each, status);
        if (!data.empty() || result.size() != N_OUT / out_size)
            return false;
        for (int o = 0; o < N_OUT; o += out_size) {
            const result_T pack = result.read();
            for (int k = 0; k < out_size; k++)
                outputs[sample * N_OUT + o + k] = raw(pack[k]);
        }
    }
    return true;
}

} // namespace codesign

#endif
