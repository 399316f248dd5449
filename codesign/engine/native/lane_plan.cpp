#include "lane_plan.h"

#include <algorithm>
#include <limits>

#include "passive.h"

namespace codesign::engine {

namespace {

constexpr int BITS = 32;
// Activations of so many bits are looked up.
constexpr int MAX_TABLE_BITS = 16;

// With so many of 32 bits left free.
bool holds(const FixedPoint &type, int free = 0) { return type.width + !type.is_signed <= BITS - free; }

bool casts(const FixedPoint &from, int frac, const FixedPoint &to) {
    const int shift = frac - to.frac;
    if (!holds(from) || !holds(to) || shift >= BITS || shift <= -BITS)
        return false;
    FixedPoint shifted = from;
    shifted.width -= std::min(shift, 0);
    return to.overflow == Overflow::WRAP || holds(shifted);
}

// Computed in 64 bits, a value or a sample after the other.
bool one_by_one(const Layer &layer) {
    return (layer.kind == Kind::ACTIVATION && layer.function != Function::LINEAR) || layer.kind == Kind::SOFTMAX ||
           layer.kind == Kind::ARGMAX;
}

bool sums_fit(const Layer &layer) {
    const FixedPoint &sum = layer.accumulator;
    // Two numbers in range are added before a sum is saturated; sums that wrap are exact modulo 2**32.
    if (!holds(sum, layer.saturates()) || !casts(sum, sum.frac, layer.result))
        return false;
    if (!layer.has_weights())
        return casts(layer.source_types[0], layer.product_frac(0), sum) &&
               casts(layer.source_types[1], layer.product_frac(1), sum);
    return holds(layer.weight.type) && (layer.exact() || casts(layer.product_type(), layer.product_frac(), sum));
}

bool fits(const Layer &layer) {
    for (const FixedPoint &source : layer.source_types)
        if (!holds(source))
            return false;
    if (!holds(layer.result))
        return false;
    if (layer.computes())
        return sums_fit(layer);
    if (one_by_one(layer))
        return true;
    if (layer.kind == Kind::AVERAGE_POOL)
        return casts(layer.source_types[0], layer.source_types[0].frac, layer.accumulator) &&
               casts(layer.accumulator, layer.accumulator.frac, layer.result);
    return std::all_of(layer.source_types.begin(), layer.source_types.end(),
                       [&](const FixedPoint &source) { return casts(source, source.frac, layer.result); });
}

} // namespace

bool fits_32_bits(const Model &model) { return std::all_of(model.layers.begin(), model.layers.end(), fits); }

template <class T> LaneCast<T>::LaneCast(int frac, const FixedPoint &to) : shift(Cast(frac, to).shift()) {
    using Limits = std::numeric_limits<T>;
    const int bits = 8 * int(sizeof(T));
    if (shift > 0 && to.rounding != Rounding::TRN) {
        const T mask = T((Int(1) << shift) - 1), half = T(Int(1) << (shift - 1));
        const Rounding mode = to.rounding;
        rounds = true;
        above = mode == Rounding::TRN_ZERO                           ? mask
                : mode == Rounding::RND || mode == Rounding::RND_INF ? half - 1
                                                                     : half;
        if_negative = mode == Rounding::TRN_ZERO   ? -mask
                      : mode == Rounding::RND_ZERO ? -1
                      : mode == Rounding::RND_INF  ? 1
                                                   : 0;
        if_odd = mode == Rounding::RND_CONV ? -1 : 0;
    }
    held_low = Limits::min();
    held_high = Limits::max();
    if (to.overflow == Overflow::WRAP) {
        spare = bits - to.width;
        is_signed = to.is_signed;
        into = spare == 0 && is_signed ? Into::ANY : Into::WRAP;
        return;
    }
    if (shift < 0) { // beyond these bounds the shifted value would leave 64 bits; they saturate all the same
        const Int bound = ((Int(1) << (to.width + 1)) >> -shift) + 1;
        held_low = T(std::max<Int>(held_low, -bound));
        held_high = T(std::min<Int>(held_high, bound));
    }
    const bool symmetric = to.overflow == Overflow::SAT_SYM && to.is_signed && to.width > 1;
    into = to.overflow == Overflow::SAT_ZERO ? Into::ZERO : Into::CLAMP;
    high = T(to.max_raw());
    low = symmetric ? -high : T(to.min_raw());
}

template <class T> LanePlan<T>::LanePlan(const Layer &of) : layer(&of) {
    if (one_by_one(of)) {
        tabulate();
        return;
    }
    const bool sums = of.computes() || of.kind == Kind::AVERAGE_POOL;
    leave = LaneCast<T>(sums ? of.accumulator : of.source_types[0], of.result);
    leave.relu = of.kind == Kind::RELU;
    if (sums) {
        leave.wrap_first(of.accumulator);
        into_sum = LaneCast<T>(of.accumulator.frac, of.accumulator);
    }
    if (of.has_weights() && of.computes())
        take_parameters();
    else
        for (const FixedPoint &source : of.source_types)
            enter.emplace_back(source, sums ? of.accumulator : of.result);
}

template <class T> void LanePlan<T>::take_parameters() {
    const Layer &of = *layer;
    const std::size_t fan_in = std::size_t(of.fan_in), neurons = std::size_t(of.neurons);
    if (of.exact())
        shift = of.accumulator.frac - of.product_frac();
    else
        product = LaneCast<T>(of.product_frac(), of.accumulator);
    by_neuron.resize(of.weight.raw.size());
    for (std::size_t k = 0; k < fan_in; ++k)
        for (std::size_t j = 0; j < neurons; ++j) {
            by_neuron[j * fan_in + k] = T(of.weight.raw[k * neurons + j]);
            weights.push_back(scaled(of.weight.raw[k * neurons + j]));
        }
    for (const Int bias : of.bias.raw)
        starts.push_back(start(bias));
}

template <class T> void LanePlan<T>::tabulate() {
    const FixedPoint &source = layer->source_types[0];
    if (layer->kind != Kind::ACTIVATION || source.width > MAX_TABLE_BITS)
        return;
    table_offset = T(-source.min_raw());
    for (Int value = source.min_raw(); value <= source.max_raw(); ++value)
        table.push_back(T(activated(*layer, value)));
}

template struct LaneCast<std::int32_t>;
template struct LaneCast<std::int64_t>;
template struct LanePlan<std::int32_t>;
template struct LanePlan<std::int64_t>;

} // namespace codesign::engine
