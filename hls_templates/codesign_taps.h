// What differs between synthesis and C-simulation: fault taps, the words of sums, where registers live.
//
// This is the only header that looks at __SYNTHESIS__; whatever is simulated is otherwise the very code that is
// synthesised.
//
// A tap stands where a bit can be upset: a stored parameter, the output of a multiplier or an adder, a
// register, a voter. In synthesis nothing is left of it; in simulation faults are armed at run time. Every
// applied fault is counted, so that a caller can tell "masked" from "the tap was never compiled in".
// A kernel asks LayerTaps for its layer, that for a neuron, and that for one use of the neuron (a step).
// Where nothing is armed the kernel runs with NoTaps, whose taps are empty: it is the code of synthesis.
#ifndef CODESIGN_TAPS_H_
#define CODESIGN_TAPS_H_

#include "ap_int.h"

#ifndef __SYNTHESIS__
#include "hls_stream.h"
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>
#endif

namespace codesign {

// Groups of registers that keep their content from sample to sample; a group belongs to one function.
enum RegisterGroup { STATUS, FRAMES, N_GROUPS };

// The numbers of codesign/faults.py.
enum Target { WEIGHT = 0, BIAS = 1, PRODUCT = 2, ACCUMULATOR = 3, ACTIVATION = 4, VOTER = 5 };

// Taps where nothing is armed.
struct NoTaps {
    // A word as it is read from memory or given out by unit `position` of copy `replica`.
    template <class T> const T &word(Target, unsigned, unsigned, const T &value) const {
        #pragma HLS INLINE
        return value;
    }
    // The output of adder `position`, all its copies at once.
    template <class Sum> void adder(unsigned, Sum &) const {
        #pragma HLS INLINE
    }
};

#ifdef __SYNTHESIS__

// Words of W bits.
template <int W> using Int = ap_int<W>;
template <int W> using UInt = ap_uint<W>;

// A number from its bits, and back, whatever its point and sign.
template <class T, class bits_T> T from_bits(const bits_T &bits) {
    #pragma HLS INLINE
    T value;
    value.range(T::width - 1, 0) = ap_uint<T::width>(bits);
    return value;
}
template <class T> Int<T::width> bits_of(const T &value) {
    #pragma HLS INLINE
    return Int<T::width>(value.range(T::width - 1, 0));
}

struct StepTaps : NoTaps {
    bool armed() const {
        #pragma HLS INLINE
        return false;
    }
};

struct NeuronTaps {
    StepTaps at(unsigned) const {
        #pragma HLS INLINE
        return StepTaps();
    }
};

struct LayerTaps {
    explicit LayerTaps(int) {}
    NeuronTaps neuron(unsigned) const {
        #pragma HLS INLINE
        return NeuronTaps();
    }
    NeuronTaps recomputed(unsigned) const {
        #pragma HLS INLINE
        return NeuronTaps();
    }
};

#define CODESIGN_REGISTERS(name, size, group) static ap_uint<32> name[size]

// A layer's output registers.
#define CODESIGN_TAP_OUTPUTS(type, size, channels, variable, layer)

#else

// Words of W bits as ap_int and ap_uint have them. Those simulate several times slower: they write every
// intermediate result to memory.
template <int W, bool SIGNED> class Word {
    static_assert(W >= 1 && W <= 64, "a word has 1 to 64 bits");
    typedef typename std::conditional<SIGNED, int64_t, uint64_t>::type Value;

  public:
    class Bit {
      public:
        Bit(Word &word, int index) : word_(word), index_(index) {}
        operator bool() const { return (word_.value_ >> index_) & 1; }
        Bit &operator=(bool bit) {
            word_ = (uint64_t(word_.value_) & ~(uint64_t(1) << index_)) | (uint64_t(bit) << index_);
            return *this;
        }

      private:
        Word &word_;
        int index_;
    };

    Word() {}
    template <class T> Word(const T &bits) : value_(Value(uint64_t(Value(bits)) << (64 - W)) >> (64 - W)) {}
    operator Value() const { return value_; }
    Bit operator[](int index) { return Bit(*this, index); }
    bool operator[](int index) const { return (value_ >> index) & 1; }

  private:
    Value value_;
};
template <int W> using Int = Word<W, true>;
template <int W> using UInt = Word<W, false>;

template <class T, class bits_T> T from_bits(const bits_T &bits) {
    T value;
    value.V = int64_t(bits);
    return value;
}
template <class T> Int<T::width> bits_of(const T &value) { return Int<T::width>(int64_t(value.V)); }

// One fault of a list, its fields in the order of FAULT in codesign/faults.py.
struct Fault {
    int32_t layer, target, neuron, position, replica, bit, sample, step;
};
const int32_t EVERY = -1;       // as a sample or a step: all of them
const int32_t SHARED_UNIT = -1; // as a neuron: the unit that recomputes the important ones

// A fault that may strike the present sample, and how often it has done so.
struct Armed {
    Fault fault;
    int64_t *hits;

    // By use first, then by place: what one step can meet lies together.
    bool operator<(const Armed &other) const {
        const Fault &a = fault, &b = other.fault;
        if (a.neuron != b.neuron)
            return a.neuron < b.neuron;
        if (a.step != b.step)
            return a.step < b.step;
        return a.target != b.target ? a.target < b.target : a.position < b.position;
    }
};

// A part of a sorted list of armed faults.
class Faults {
  public:
    Faults() : begin_(nullptr), end_(nullptr) {}
    Faults(const Armed *first, std::size_t size) : begin_(first), end_(first + size) {}

    const Armed *begin() const { return begin_; }
    const Armed *end() const { return end_; }
    bool empty() const { return begin_ == end_; }

    Faults of_neuron(int32_t neuron) const {
        return where([=](const Armed &armed) { return compare(armed.fault.neuron, neuron); });
    }
    Faults of_step(int32_t step) const {
        return where([=](const Armed &armed) { return compare(armed.fault.step, step); });
    }
    Faults at(Target target, unsigned position) const {
        return where([=](const Armed &armed) {
            const int by_target = compare(armed.fault.target, target);
            return by_target ? by_target : compare(armed.fault.position, int32_t(position));
        });
    }

  private:
    static int compare(int32_t a, int32_t b) { return (a > b) - (a < b); }

    // `order` tells of a fault whether it lies before (< 0), within (0) or behind (> 0) what is looked for.
    template <class Order> Faults where(Order order) const {
        Faults found;
        if (!empty()) {
            found.begin_ = std::partition_point(begin_, end_, [=](const Armed &armed) { return order(armed) < 0; });
            found.end_ =
                std::partition_point(found.begin_, end_, [=](const Armed &armed) { return order(armed) == 0; });
        }
        return found;
    }

    const Armed *begin_, *end_;
};

// What is armed for the sample that the current thread simulates, and the status registers of the accelerator
// that it simulates. One a thread: simulators do not meet.
struct Context {
    std::vector<std::vector<Armed>> layers; // each sorted
    std::vector<ap_uint<32>> registers[N_GROUPS];

    // Without a simulator around it (a plain test bench) the accelerator runs fault-free.
    static Context &current() {
        static thread_local Context idle;
        return active() ? *active() : idle;
    }
    static Context *&active() {
        static thread_local Context *context = nullptr;
        return context;
    }
};

inline ap_uint<32> *registers(std::size_t size, RegisterGroup group) {
    std::vector<ap_uint<32>> &words = Context::current().registers[group];
    if (words.size() != size)
        words.assign(size, ap_uint<32>(0));
    return words.data();
}
#define CODESIGN_REGISTERS(name, size, group) ap_uint<32> *const name = codesign::registers(size, codesign::group)

// Faults of one use of a neuron: those of every step, those of this one, and those of a unit that it shares.
class StepTaps {
  public:
    StepTaps(Faults every, Faults step, Faults shared) : every_(every), step_(step), shared_(shared) {}

    bool armed() const { return !every_.empty() || !step_.empty() || !shared_.empty(); }

    template <class T> T word(Target target, unsigned position, unsigned replica, T value) const {
        flip(every_.at(target, position), replica, value);
        flip(step_.at(target, position), replica, value);
        // A shared unit computes all copies, so its faults strike them all.
        for (const Armed &armed : shared_.at(target, position))
            flip(armed, value);
        return value;
    }

    template <class Sum> void adder(unsigned position, Sum &sum) const {
        for (const Armed &armed : every_.at(ACCUMULATOR, position))
            *armed.hits += sum.flip(armed.fault.replica, armed.fault.bit);
        for (const Armed &armed : step_.at(ACCUMULATOR, position))
            *armed.hits += sum.flip(armed.fault.replica, armed.fault.bit);
    }

  private:
    template <class T> static void flip(const Faults &faults, unsigned replica, T &value) {
        for (const Armed &armed : faults) {
            if (unsigned(armed.fault.replica) == replica)
                flip(armed, value);
        }
    }
    template <class T> static void flip(const Armed &armed, T &value) {
        value[armed.fault.bit] = !value[armed.fault.bit];
        ++*armed.hits;
    }

    Faults every_, step_, shared_;
};

// Faults of one neuron.
class NeuronTaps {
  public:
    explicit NeuronTaps(Faults own, Faults shared = Faults())
        : own_(own), every_(own.of_step(EVERY)), shared_(shared) {}

    StepTaps at(unsigned step) const { return StepTaps(every_, own_.of_step(int32_t(step)), shared_); }

  private:
    Faults own_, every_, shared_;
};

class LayerTaps {
  public:
    explicit LayerTaps(int layer) {
        const Context &context = Context::current();
        if (std::size_t(layer) < context.layers.size())
            faults_ = Faults(context.layers[layer].data(), context.layers[layer].size());
    }

    bool armed() const { return !faults_.empty(); }

    NeuronTaps neuron(unsigned index) const { return NeuronTaps(faults_.of_neuron(int32_t(index))); }

    // The same neuron in the unit that recomputes.
    NeuronTaps recomputed(unsigned index) const {
        return NeuronTaps(faults_.of_neuron(int32_t(index)), faults_.of_neuron(SHARED_UNIT).of_step(EVERY));
    }

  private:
    Faults faults_;
};

// Values are numbered as in a tensor with its channels last: `step` is the pixel, `neuron` the channel.
template <class T> T tap_output(const LayerTaps &taps, int index, int channels, const T &value) {
    return taps.neuron(index % channels).at(index / channels).word(ACTIVATION, 0, 0, value);
}

template <class T, int SIZE, int CHANNELS> void tap_outputs(T *values, int layer) {
    const LayerTaps taps(layer);
    for (int i = 0; taps.armed() && i < SIZE; i++)
        values[i] = tap_output(taps, i, CHANNELS, values[i]);
}

template <class T, int SIZE, int CHANNELS> void tap_outputs(hls::stream<T> &packs, int layer) {
    const LayerTaps taps(layer);
    const int size = T::size;
    for (int first = 0; taps.armed() && first < SIZE; first += size) {
        T pack = packs.read();
        for (int i = 0; i < size; i++)
            pack[i] = tap_output(taps, first + i, CHANNELS, pack[i]);
        packs.write(pack);
    }
}

#define CODESIGN_TAP_OUTPUTS(type, size, channels, variable, layer)                                                    \
    codesign::tap_outputs<type, size, channels>(variable, layer)

#endif

} // namespace codesign

#endif
