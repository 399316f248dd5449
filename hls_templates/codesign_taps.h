// Fault taps: identity in synthesis, armed at run time in C-simulation.
//
// This is the only header that looks at __SYNTHESIS__; whatever is simulated is otherwise the very code
// that is synthesised. Every applied fault is counted, so that a caller can tell "masked" from "the tap
// was never compiled in".
#ifndef CODESIGN_TAPS_H_
#define CODESIGN_TAPS_H_

#include "ap_int.h"

#ifndef __SYNTHESIS__
#include <algorithm>
#include <cstdint>
#include <vector>
#endif

namespace codesign {

// The numbers of codesign/faults.py.
enum Target { WEIGHT = 0, BIAS = 1, PRODUCT = 2, ACCUMULATOR = 3, ACTIVATION = 4, VOTER = 5 };

#ifdef __SYNTHESIS__

// Taps of one neuron: nothing is left of them in hardware.
struct NeuronTaps {
    template <class T> T word(Target, unsigned, T value) const {
        #pragma HLS INLINE
        return value;
    }
    template <class Sum> void adder(unsigned, Sum &) const {
        #pragma HLS INLINE
    }
};

struct LayerTaps {
    explicit LayerTaps(int) {}
    NeuronTaps neuron(unsigned) const {
        #pragma HLS INLINE
        return NeuronTaps();
    }
};

// A layer's output registers.
template <class T, int N> void tap_outputs(T *, int) {
    #pragma HLS INLINE
}

// Flags that stay raised until reset.
template <int N> ap_uint<N> sticky(ap_uint<N> raised) {
    #pragma HLS INLINE
    static ap_uint<N> flags = 0;
    #pragma HLS RESET variable = flags
    flags |= raised;
    return flags;
}

#else

// One fault of a list; the fields are those of FaultSite and the sample, in the order of FIELDS.
struct Fault {
    int32_t layer, target, neuron, position, replica, bit, sample;
};
const int32_t ALL_SAMPLES = -1;

struct Armed {
    Fault fault;
    int64_t *hits;
    bool operator<(const Armed &other) const { return fault.neuron < other.fault.neuron; }
};

// What is armed for the sample that the current thread simulates. One a thread: simulators do not meet.
struct Context {
    std::vector<std::vector<Armed> > layers;
    uint32_t sticky = 0;

    static Context *&current() {
        static thread_local Context *context = nullptr;
        return context;
    }
};

// Faults of one neuron: a range of the layer's list.
class NeuronTaps {
  public:
    NeuronTaps(const Armed *begin, const Armed *end) : begin_(begin), end_(end) {}

    // A stored parameter as it is read, or a word as its unit gives it out.
    template <class T> T word(Target target, unsigned position, T value) const {
        for (const Armed *armed = begin_; armed != end_; ++armed) {
            if (armed->fault.target == target && unsigned(armed->fault.position) == position) {
                value[armed->fault.bit] = !value[armed->fault.bit];
                ++*armed->hits;
            }
        }
        return value;
    }

    // The output of the adder at `position` of the neuron's tree.
    template <class Sum> void adder(unsigned position, Sum &sum) const {
        for (const Armed *armed = begin_; armed != end_; ++armed) {
            if (armed->fault.target == ACCUMULATOR && unsigned(armed->fault.position) == position) {
                *armed->hits += sum.flip(armed->fault.replica, armed->fault.bit);
            }
        }
    }

  private:
    const Armed *begin_, *end_;
};

class LayerTaps {
  public:
    explicit LayerTaps(int layer) : begin_(nullptr), end_(nullptr) {
        const Context *context = Context::current();
        if (context && !context->layers[layer].empty()) {
            begin_ = context->layers[layer].data();
            end_ = begin_ + context->layers[layer].size();
        }
    }

    bool armed() const { return begin_ != end_; }

    NeuronTaps neuron(unsigned index) const {
        if (!armed())
            return NeuronTaps(nullptr, nullptr);
        Armed key;
        key.fault.neuron = int32_t(index);
        const std::pair<const Armed *, const Armed *> range = std::equal_range(begin_, end_, key);
        return NeuronTaps(range.first, range.second);
    }

  private:
    const Armed *begin_, *end_;
};

template <class T, int N> void tap_outputs(T *values, int layer) {
    const LayerTaps taps(layer);
    if (!taps.armed())
        return;
    for (int i = 0; i < N; i++)
        values[i] = taps.neuron(i).word(ACTIVATION, 0, values[i]);
}

template <int N> ap_uint<N> sticky(ap_uint<N> raised) {
    Context *context = Context::current();
    if (!context)
        return raised;
    context->sticky |= raised.to_uint();
    return context->sticky;
}

#endif

} // namespace codesign

#endif
