#include "unit.h"

#include <algorithm>

namespace codesign::engine {

namespace {

// Operands of one pixel: (fan_in,), or of layers whose neurons see their own channel (fan_in, neurons).
void gather(const Operands &operands, int pixel, std::vector<Int> &found) {
    const Layer &layer = *operands.layer;
    const Window &window = layer.window;
    if (!window.exists()) {
        const Int *first = operands.values + (layer.per_channel() ? pixel * layer.neurons : 0);
        found.assign(first, first + (layer.per_channel() ? layer.neurons : layer.n_in));
        return;
    }
    found.clear();
    for (int place = 0; place < window.n_places; ++place) {
        const int at = window.places[std::size_t(pixel) * std::size_t(window.n_places) + std::size_t(place)];
        const Int *first = operands.values + std::ptrdiff_t(at) * window.channels;
        if (at < 0)
            found.insert(found.end(), std::size_t(window.channels), 0);
        else
            found.insert(found.end(), first, first + window.channels);
    }
}

// `step` values of x enter each neuron's product k: one for all neurons, or one a neuron.
void sum_exact(const Operands &operands, const Int *x, Int *sums) {
    const Layer &layer = *operands.layer;
    const int neurons = layer.neurons;
    std::fill(sums, sums + neurons, 0);
    for (int k = 0; k < layer.fan_in; ++k) {
        const Int *w = operands.weights + std::ptrdiff_t(k) * neurons;
        if (layer.per_channel())
            for (int j = 0; j < neurons; ++j)
                sums[j] = added(sums[j], multiplied(x[k * neurons + j], w[j]));
        else
            for (int j = 0; j < neurons; ++j)
                sums[j] = added(sums[j], multiplied(x[k], w[j]));
    }
    const Cast start(layer.bias.type.frac, layer.accumulator);
    const int shift = layer.accumulator.frac - layer.product_frac();
    for (int j = 0; j < neurons; ++j)
        sums[j] = wrap(added(shifted_left(sums[j], shift), start(operands.biases[j])), layer.accumulator);
}

// Leaf by leaf: sums that wrap do not care for the order, sums that saturate are chains.
void sum_in_order(const Operands &operands, const Int *x, Int *sums) {
    const Layer &layer = *operands.layer;
    const int neurons = layer.neurons;
    const Cast start(layer.bias.type.frac, layer.accumulator), product(layer.product_frac(), layer.accumulator);
    for (int j = 0; j < neurons; ++j)
        sums[j] = start(operands.biases[j]);
    for (int k = 0; k < layer.fan_in; ++k)
        for (int j = 0; j < neurons; ++j) {
            const Int value = layer.per_channel() ? x[k * neurons + j] : x[k];
            const Int leaf = product(multiplied(value, operands.weights[std::ptrdiff_t(k) * neurons + j]));
            sums[j] = fit(added(sums[j], leaf), layer.accumulator);
        }
}

void sum_operands(const Operands &operands, Int *sums) {
    const Layer &layer = *operands.layer;
    const Cast first(layer.product_frac(0), layer.accumulator), second(layer.product_frac(1), layer.accumulator);
    for (int k = 0; k < layer.n_out; ++k)
        sums[k] = fit(added(first(operands.values[k]), second(operands.values[layer.n_out + k])), layer.accumulator);
}

} // namespace

Leaves::Leaves(const Operands &operands, int pixel, int neuron)
    : operands_(operands), pixel_(pixel), neuron_(neuron),
      of_product_(operands.layer->product_frac(), operands.layer->accumulator) {}

Int Leaves::input(int k) const {
    const Layer &layer = *operands_.layer;
    const Window &window = layer.window;
    if (!window.exists())
        return operands_.values[layer.per_channel() ? pixel_ * layer.neurons + neuron_ : k];
    const int place = layer.per_channel() ? k : k / window.channels;
    const int channel = layer.per_channel() ? neuron_ : k % window.channels;
    const int at = window.places[std::size_t(pixel_) * std::size_t(window.n_places) + std::size_t(place)];
    return at < 0 ? 0 : operands_.values[std::ptrdiff_t(at) * window.channels + channel];
}

Int Leaves::leaf(int index) const {
    const Layer &layer = *operands_.layer;
    if (!layer.has_weights()) {
        const Int value = operands_.values[index * layer.n_out + pixel_ * layer.neurons + neuron_];
        return Cast(layer.product_frac(index), layer.accumulator)(value);
    }
    if (index == 0)
        return Cast(layer.bias.type.frac, layer.accumulator)(operands_.biases[neuron_]);
    return of_product_(product(index - 1));
}

void sums_of(const Operands &operands, Int *sums) {
    const Layer &layer = *operands.layer;
    if (!layer.has_weights())
        return sum_operands(operands, sums);
    std::vector<Int> gathered;
    for (int pixel = 0; pixel < layer.pixels; ++pixel, sums += layer.neurons) {
        gather(operands, pixel, gathered);
        if (layer.exact())
            sum_exact(operands, gathered.data(), sums);
        else
            sum_in_order(operands, gathered.data(), sums);
    }
}

} // namespace codesign::engine
