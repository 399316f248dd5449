#include "block.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "passive.h"

namespace codesign::engine {

namespace {

// Whether a cast changes no value.
bool same_values(const FixedPoint &from, const FixedPoint &to) {
    return from.frac == to.frac && from.width == to.width && from.is_signed == to.is_signed &&
           assigned(from, to).overflow != Overflow::SAT_SYM;
}

// The rounding of one cast by addition and shift. False for modes that look at the sign, of values that have one.
bool set_rounding(Rounding mode, int shift, bool negative, Requantise &how) {
    how.shift = shift;
    if (shift == 0)
        return true;
    if (!negative && mode == Rounding::TRN_ZERO)
        mode = Rounding::TRN;
    if (!negative && mode == Rounding::RND_ZERO)
        mode = Rounding::RND_MIN_INF;
    if (!negative && mode == Rounding::RND_INF)
        mode = Rounding::RND;
    const std::int32_t half = std::int32_t(1) << (shift - 1);
    switch (mode) {
    case Rounding::TRN:
        return true;
    case Rounding::RND:
        how.addend = half;
        return true;
    case Rounding::RND_MIN_INF:
        how.addend = half - 1;
        return true;
    case Rounding::RND_CONV:
        how.addend = half - 1;
        how.even_mask = 1;
        return true;
    default:
        return false;
    }
}

void set_overflow(const FixedPoint &to, Requantise &how) {
    how.wraps = to.overflow == Overflow::WRAP;
    how.spare = 32 - to.width;
    how.is_signed = to.is_signed;
    how.high = std::int32_t(to.max_raw());
    const bool symmetric = to.overflow == Overflow::SAT_SYM && to.is_signed && to.width > 1;
    how.low = symmetric ? -how.high : std::int32_t(to.min_raw());
    how.offset = offset_of(to);
}

// Whether no sum of any weights and operands of the layer's types leaves the accumulator.
bool holds_every_sum(const Layer &layer) {
    const FixedPoint &x = layer.source_types[0], &w = layer.weight.type;
    const double largest = double(std::max(x.max_raw(), -x.min_raw())) * double(-std::min(w.min_raw(), -w.max_raw()));
    // Before it is brought into the range: biases between the extremes may be larger there than the extremes. One more
    // for the rounding.
    const FixedPoint &b = layer.bias.type;
    const double bias = std::ldexp(double(-std::min(b.min_raw(), -b.max_raw())), layer.accumulator.frac - b.frac) + 1;
    return largest * layer.fan_in + bias <= double(layer.accumulator.max_raw()) &&
           (layer.accumulator.is_signed || (!x.is_signed && !w.is_signed && !layer.bias.type.is_signed));
}

std::ptrdiff_t packed_at(const Block &block, int k, int neuron) {
    return (std::ptrdiff_t(k / 4) * block.n_pad + neuron) * 4 + k % 4;
}

// Neighbouring pixels of a window that are neighbours in the image are one run, as far as runs reach.
void set_runs(Block &block) {
    const Window &window = block.layer->window;
    block.padding.assign(LINE, std::uint8_t(block.in_offset));
    for (int pixel = 0; pixel < block.pixels; ++pixel) {
        block.first_run.push_back(block.runs.size());
        int to = pixel * block.k_pad;
        for (int place = 0; place < window.n_places; ++place) {
            const int at = window.places[std::size_t(pixel) * std::size_t(window.n_places) + std::size_t(place)];
            for (int channel = 0; channel < window.channels; ++channel, ++to) {
                const int from = at < 0 ? -1 : at * window.channels + channel;
                Run *last = block.runs.size() > block.first_run.back() ? &block.runs.back() : nullptr;
                const bool follows = last && last->size < LINE &&
                                     (from < 0 ? last->from < 0 : last->from >= 0 && last->from + last->size == from);
                if (follows)
                    ++last->size;
                else
                    block.runs.push_back({from, to, 1});
            }
        }
    }
    block.first_run.push_back(block.runs.size());
}

} // namespace

void Chain::append(int index, const Layer &layer) {
    indices_.push_back(index);
    layers_.push_back(&layer);
}

int Chain::stage(int index) const {
    const auto found = std::find(indices_.begin(), indices_.end(), index);
    return found == indices_.end() ? -1 : int(found - indices_.begin());
}

Int Chain::leave(Int sum, const Int *masks) const {
    const Layer &head = *layers_[0];
    Int value = Cast(head.accumulator, head.result)(sum);
    for (std::size_t k = 0; k < layers_.size(); ++k) {
        if (k)
            value = activated(*layers_[k], value);
        if (masks && masks[k])
            value = wrap(value ^ masks[k], layers_[k]->result);
    }
    return value;
}

bool Chain::is_identity() const {
    const FixedPoint &result = layers_[0]->result;
    return layers_.size() == 1 && same_values(layers_[0]->accumulator, result);
}

bool Chain::as_requantise(Requantise &how) const {
    const Layer &head = *layers_[0];
    const FixedPoint &from = head.accumulator;
    const FixedPoint to = assigned(layers_.size() > 1 ? layers_.back()->source_types[0] : from, result());
    how = Requantise();
    how.sum_signed = from.is_signed;
    how.sum_spare = holds_every_sum(head) ? 0 : 32 - from.width;
    const bool passes = same_values(from, head.result);
    if (layers_.size() > 2 || (layers_.size() == 2 && !passes))
        return false;
    if (layers_.size() == 2) {
        const Layer &second = *layers_[1];
        if (second.kind != Kind::RELU && second.function != Function::LINEAR)
            return false;
        how.relu = second.kind == Kind::RELU;
    }
    const int shift = from.frac - to.frac;
    if (shift < 0 || shift > 29 || to.width > 8 || to.overflow == Overflow::SAT_ZERO)
        return false;
    set_overflow(to, how);
    return set_rounding(to.rounding, shift, !how.relu && from.is_signed, how);
}

const std::uint8_t *Block::operands(const Kernels &kernels, const std::uint8_t *sample, int pixel,
                                    std::uint8_t *buffer) const {
    if (dense())
        return sample;
    const std::size_t first = first_run[std::size_t(pixel)], end = first_run[std::size_t(pixel) + 1];
    kernels.gather(runs.data() + first, end - first, sample, padding.data(), buffer - std::ptrdiff_t(pixel) * k_pad);
    return buffer;
}

bool Block::plain_adders() const {
    if (!dense() || in_offset || layer->recomputes())
        return false;
    const std::vector<int> &cut = layer->protection.cut;
    return std::all_of(cut.begin(), cut.end(), [&](int bit) { return bit == layer->accumulator.width; });
}

void Block::leave(const Kernels &kernels, const std::int32_t *of, int n_rows, std::uint8_t *bytes, int stride) const {
    if (vectors)
        return kernels.requantise(requantise, of, n_rows, neurons, n_pad, bytes, stride);
    for (int row = 0; row < n_rows; ++row, of += n_pad, bytes += stride)
        for (int j = 0; j < neurons; ++j)
            bytes[j] = byte_of(in_range(of[j]));
}

Block sums_block(const Layer &layer, int index, int in_stride) {
    Block block;
    block.layer = &layer;
    block.index = index;
    block.chain.append(index, layer);
    block.n_in = layer.n_in;
    block.in_stride = in_stride;
    block.n_out = layer.n_out;
    block.out_stride = rounded_up(layer.n_out, LINE);
    block.pixels = layer.pixels;
    block.neurons = layer.neurons;
    block.n_pad = rounded_up(layer.neurons, LANES);
    block.fan_in = layer.fan_in;
    block.k4 = (layer.fan_in + 3) / 4;
    block.k_pad = rounded_up(layer.fan_in, LINE);
    block.in_offset = offset_of(layer.source_types[0]);
    PackedParameters &p = block.parameters;
    p.packed.assign(std::size_t(block.k4) * std::size_t(block.n_pad) * 4, 0);
    p.by_neuron.assign(std::size_t(block.neurons) * std::size_t(block.k_pad), 0);
    p.start.assign(std::size_t(block.n_pad), 0);
    p.biases.assign(std::size_t(block.neurons), 0);
    block.by_input.assign(std::size_t(block.k_pad) * std::size_t(block.n_pad), 0);
    const Cast start(layer.bias.type, layer.accumulator);
    for (int j = 0; j < block.neurons; ++j) {
        p.biases[std::size_t(j)] = start(layer.bias.raw[std::size_t(j)]);
        p.start[std::size_t(j)] = std::int32_t(p.biases[std::size_t(j)]);
        for (int k = 0; k < block.fan_in; ++k) {
            const Int weight = layer.weight.raw[std::size_t(k) * std::size_t(block.neurons) + std::size_t(j)];
            set_weight(block, k, j, 0, weight, p);
            block.by_input[std::size_t(k) * std::size_t(block.n_pad) + std::size_t(j)] = std::int8_t(weight);
        }
    }
    if (!block.dense()) {
        set_runs(block);
        block.convolution = convolution_of(layer);
    }
    for (std::size_t k = 0; block.k_pad == LINE && k < layer.spans.size(); ++k) {
        const auto below = [](int leaf) { return leaf > LINE ? ~Word(0) : (Word(1) << std::max(leaf - 1, 0)) - 1; };
        block.span_masks.push_back(below(layer.spans[k].end) & ~below(layer.spans[k].first));
    }
    return block;
}

Block pool_block(const Layer &layer, int index, int in_stride) {
    Block block;
    block.layer = &layer;
    block.index = index;
    block.pools = true;
    block.n_in = layer.n_in;
    block.in_stride = in_stride;
    block.n_out = layer.n_out;
    block.out_stride = rounded_up(layer.n_out, LINE);
    block.pixels = layer.pixels;
    block.neurons = layer.neurons;
    block.in_offset = block.out_offset = offset_of(layer.result);
    return block;
}

void set_weight(const Block &block, int k, int neuron, Int before, Int after, PackedParameters &parameters) {
    parameters.packed[std::size_t(packed_at(block, k, neuron))] = std::int8_t(after);
    parameters.by_neuron[std::size_t(neuron) * std::size_t(block.k_pad) + std::size_t(k)] = std::int8_t(after);
    std::int32_t &start = parameters.start[std::size_t(neuron)];
    start = std::int32_t(std::uint32_t(start) - std::uint32_t((after - before) * block.in_offset));
}

void set_bias(const Block &block, int neuron, Int before, Int after, PackedParameters &parameters) {
    const Cast cast(block.layer->bias.type, block.layer->accumulator);
    const Int delta = cast(after) - cast(before);
    parameters.biases[std::size_t(neuron)] += delta;
    std::int32_t &start = parameters.start[std::size_t(neuron)];
    start = std::int32_t(std::uint32_t(start) + std::uint32_t(delta));
}

} // namespace codesign::engine
