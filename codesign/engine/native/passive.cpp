#include "passive.h"

#include <algorithm>
#include <cmath>

namespace codesign::engine {

namespace {

// Half the span of the inputs that hls4ml's tables cover: -span..span, or of negative ones span..0.
int span_of(Function function) {
    switch (function) {
    case Function::SIGMOID:
    case Function::SOFTPLUS:
    case Function::SOFTSIGN:
        return 8;
    case Function::TANH:
        return 4;
    case Function::SELU:
    case Function::ELU:
        return -8;
    default:
        return 0;
    }
}

Int looked_up(const Layer &layer, Int value) {
    const Parameter &table = layer.tables[0];
    const int span = span_of(layer.function), frac = layer.source_types[0].frac;
    const Int size = Int(table.raw.size()), width = span > 0 ? 2 * span : -span;
    const Int numerator = shifted_left(multiplied(value, size), std::max(-frac, 0));
    const Int quotient = numerator / shifted_left(width, std::max(frac, 0)); // towards zero
    const Int place = span > 0 ? quotient + size / 2 : -quotient;
    return table.raw[std::size_t(std::clamp<Int>(place, 0, size - 1))];
}

// The exact product with a single number, cast.
Int scaled(Int value, int frac, const Parameter &factor, const FixedPoint &to) {
    return Cast(frac + factor.type.frac, to)(multiplied(value, factor.raw[0]));
}

// hls4ml doubles the value in its own type, where it may wrap, and compares with 1 and -1.
Int ternary(Int value, const FixedPoint &source) {
    const double doubled = std::ldexp(double(fit(multiplied(value, 2), source)), -source.frac);
    return doubled > 1 ? 1 : doubled > -1 ? 0 : -1;
}

// Slope times value plus shift, held between 0 and 1; for the hyperbolic tangent doubled, less one.
Int hard(const Layer &layer, Int value) {
    const Parameter &slope = layer.tables[0], &shift = layer.tables[1];
    const int product_frac = layer.source_types[0].frac + slope.type.frac;
    const int frac = std::max({product_frac, shift.type.frac, 0});
    const Int product = shifted_left(multiplied(value, slope.raw[0]), frac - product_frac);
    const Int one = Int(1) << frac;
    Int sigmoid = std::clamp<Int>(added(product, shifted_left(shift.raw[0], frac - shift.type.frac)), 0, one);
    if (layer.function == Function::HARD_TANH)
        sigmoid = 2 * sigmoid - one;
    return Cast(frac, layer.result)(sigmoid);
}

// The top log2(size) bits of the stored word, as an unsigned number.
std::size_t top_bits(Int value, const FixedPoint &of, std::size_t size) {
    int bits = 0;
    while ((std::size_t(1) << (bits + 1)) <= size)
        ++bits;
    return std::size_t((Word(value) & ((Word(1) << of.width) - 1)) >> (of.width - bits));
}

// A balanced tree, split at the largest power of two below the number of terms; every sum is brought into range.
Int tree_sum(const Int *terms, int n, const FixedPoint &to) {
    if (n == 1)
        return terms[0];
    int left = 1;
    while (left * 2 < n)
        left *= 2;
    return fit(added(tree_sum(terms, left, to), tree_sum(terms + left, n - left, to)), to);
}

void softmax(const Layer &layer, const Int *values, Int *leaving) {
    const FixedPoint &source = layer.source_types[0];
    const Parameter &exponentials = layer.tables[0], &inverses = layer.tables[1];
    const std::size_t size = exponentials.raw.size();
    const Int largest = *std::max_element(values, values + layer.n_in);
    const Cast to_sum(exponentials.type, layer.accumulator);
    for (int k = 0; k < layer.n_in; ++k) {
        const std::size_t place = layer.has_norm
                                      ? top_bits(Cast(source.frac, layer.norm)(largest - values[k]), layer.norm, size)
                                      : top_bits(values[k], source, size);
        leaving[k] = to_sum(exponentials.raw[place]);
    }
    const Int total = Cast(layer.accumulator, layer.inverse_input)(tree_sum(leaving, layer.n_in, layer.accumulator));
    const Int inverse = inverses.raw[top_bits(total, layer.inverse_input, inverses.raw.size())];
    const Cast to_result(layer.accumulator.frac + inverses.type.frac, layer.result);
    for (int k = 0; k < layer.n_in; ++k)
        leaving[k] = to_result(multiplied(leaving[k], inverse));
}

} // namespace

bool is_elementwise(const Layer &layer) { return layer.kind == Kind::RELU || layer.kind == Kind::ACTIVATION; }

Int activated(const Layer &layer, Int value) {
    const FixedPoint &source = layer.source_types[0], &to = layer.result;
    if (layer.kind == Kind::RELU)
        return Cast(source, to)(std::max<Int>(value, 0));
    switch (layer.function) {
    case Function::LINEAR:
        return Cast(source, to)(value);
    case Function::BINARY_TANH:
        return Cast(0, to)(value >= 0 ? 1 : -1);
    case Function::TERNARY_TANH:
        return Cast(0, to)(ternary(value, source));
    case Function::HARD_SIGMOID:
    case Function::HARD_TANH:
        return hard(layer, value);
    case Function::LEAKY_RELU:
        if (value > 0)
            return Cast(source, to)(value);
        return scaled(value, source.frac, layer.tables[0], to);
    case Function::ELU:
        if (value >= 0)
            return Cast(source, to)(value);
        return scaled(looked_up(layer, value), layer.tables[0].type.frac, layer.tables[1], to);
    case Function::SELU:
        if (value >= 0)
            return scaled(value, source.frac, layer.tables[1], to);
        break;
    default:
        break;
    }
    return Cast(layer.tables[0].type, to)(looked_up(layer, value));
}

void of_sample(const Layer &layer, const Int *values, Int *leaving) {
    if (layer.kind == Kind::SOFTMAX)
        return softmax(layer, values, leaving);
    const Cast one(0, layer.result);
    const std::ptrdiff_t first = std::max_element(values, values + layer.n_in) - values;
    for (int k = 0; k < layer.n_out; ++k)
        leaving[k] = one(k == first);
}

} // namespace codesign::engine
