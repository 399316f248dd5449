// A network and its protection, as flat data: what codesign/engine/description.py writes, read and checked.
#ifndef CODESIGN_ENGINE_MODEL_H_
#define CODESIGN_ENGINE_MODEL_H_

#include <cstddef>
#include <string>
#include <vector>

#include "faults.h"
#include "fixed.h"
#include "flags.h"

namespace codesign::engine {

// In the order of codesign.network.Kind.
enum class Kind {
    DENSE,
    CONV,
    DEPTHWISE,
    BATCHNORM,
    ADD, // these compute sums
    RELU,
    ACTIVATION,
    MAX_POOL,
    AVERAGE_POOL,
    SOFTMAX,
    ARGMAX,
    CONCATENATE,
    RESHAPE,
    PAD,
    UPSAMPLE // these only move values
};

// In the order of codesign.network.rules.TABLES_OF.
enum class Function {
    LINEAR,
    BINARY_TANH,
    TERNARY_TANH,
    LEAKY_RELU,
    HARD_SIGMOID,
    HARD_TANH,
    SIGMOID,
    TANH,
    SOFTPLUS,
    SOFTSIGN,
    SELU,
    ELU
};

enum class Mechanism { TMR, DMR, RECOMPUTE };
enum class Code { NONE, TMR, PARITY, ECC };

constexpr int FROM_INPUT = -1;

struct Span {
    std::int32_t first, end;
    int size() const { return end - first; }
};

// A table of integers: weights, biases, look-up tables.
struct Parameter {
    FixedPoint type;
    std::vector<Int> raw;
};

// Which input pixel stands under each place of a window, -1 in the padding; `places` has (pixels, n_places) entries.
struct Window {
    int channels = 0;
    int n_places = 0;
    std::vector<std::int32_t> places;
    bool exists() const { return n_places > 0; }
};

// How a layer is protected. `cut[j]` is the lowest hardened bit of neuron j; the accumulator's width if there is none.
struct Protection {
    Mechanism mechanism = Mechanism::TMR;
    bool own_multipliers = false; // scope mac
    int dot_size = 0;
    Code code = Code::NONE;
    std::vector<int> cut;
};

struct Layer {
    Kind kind = Kind::RESHAPE;
    std::vector<int> sources;
    std::vector<FixedPoint> source_types;
    std::vector<int> source_sizes;
    FixedPoint result;
    int pixels = 1, neurons = 1, n_in = 0, n_out = 0;

    // Layers that compute.
    int fan_in = 0, reuse = 1, per_pass = 0;
    bool has_accumulator = false;
    FixedPoint accumulator;
    Parameter weight, bias; // weight (fan_in, neurons)
    Protection protection;
    std::vector<Span> spans, unit_spans; // of each adder of a neuron, and of the shared unit

    Window window;
    // Layers that do not.
    Function function = Function::LINEAR;
    std::vector<Parameter> tables;
    std::vector<std::int32_t> wiring; // for each output the input that it is, -1 for zero
    bool has_norm = false;
    FixedPoint norm, inverse_input;

    bool computes() const { return kind <= Kind::ADD; }
    bool has_weights() const { return kind <= Kind::BATCHNORM; }
    bool per_channel() const { return kind == Kind::DEPTHWISE || kind == Kind::BATCHNORM || kind == Kind::ADD; }
    bool has_registers() const { return kind < Kind::CONCATENATE; }
    bool saturates() const { return accumulator.overflow != Overflow::WRAP; }
    bool recomputes() const { return protection.mechanism == Mechanism::RECOMPUTE; }
    bool hardened(int neuron) const { return protection.cut[neuron] < accumulator.width; }
    int unit_passes() const { return (fan_in + protection.dot_size - 1) / protection.dot_size; }
    // What the voter of differing copies raises.
    std::uint8_t flag() const { return protection.mechanism == Mechanism::DMR ? DETECTED : CORRECTED; }
    int copies() const { return protection.mechanism == Mechanism::DMR ? 2 : REPLICAS; }

    // Fractional bits of a product, or of an operand of an addition.
    int product_frac(int source = 0) const {
        return source_types[source].frac + (has_weights() ? weight.type.frac : 0);
    }
    // The multiplier's output: nothing is lost.
    FixedPoint product_type() const;
    // Sums may be regrouped: the cast of a product drops no bits, and additions wrap.
    bool exact() const { return accumulator.frac >= product_frac() && !saturates(); }
};

struct Model {
    FixedPoint input_type;
    int n_in = 0;
    std::vector<Layer> layers;

    const Layer &last() const { return layers.back(); }
    // Number of layers that take layer `index`'s output (FROM_INPUT: the input).
    int users(int index) const;

    // Throws std::invalid_argument for anything that Python's writer would not write.
    static Model read(const Int *words, std::size_t n_words);
    // Throws std::invalid_argument naming the first fault that strikes nothing in this network.
    void check(const Fault *faults, std::size_t n_faults, int n_samples) const;
};

// Which leaves each adder of a neuron sums, pass by pass; see codesign.network.adder_spans.
std::vector<Span> adder_spans(int fan_in, int reuse, bool chain);

} // namespace codesign::engine

#endif
