#include "packed_worker.h"

#include <algorithm>
#include <cstring>

namespace codesign::engine {

namespace {

// What a neuron's sum is made of, for Striker: see LaneNeuron in lane_strikes.cpp.
class PackedNeuron {
  public:
    PackedNeuron(const Block &block, const Kernels &kernels, const PackedParameters &parameters,
                 const std::uint8_t *operands, int neuron)
        : block_(block), kernels_(kernels), operands_(operands),
          weights_(parameters.by_neuron.data() + std::ptrdiff_t(neuron) * block.k_pad),
          bias_(parameters.biases[std::size_t(neuron)]) {}

    Int product(int k) const { return k < block_.fan_in ? Int(operands_[k] - block_.in_offset) * weights_[k] : 0; }
    // Nothing is lost when a product is cast: takes() sees to it.
    Int leaf(int index) const { return index ? wrap(product(index - 1), block_.layer->accumulator) : bias_; }

    Int partial(Span span) const {
        const int first = std::max(span.first - 1, 0), end = std::min(span.end - 1, block_.fan_in);
        Int sum = span.first == 0 ? bias_ : 0;
        if (block_.in_offset == 0) {
            if (end > first)
                sum += kernels_.dot(operands_ + first, weights_ + first, end - first);
            return sum;
        }
        for (int k = first; k < end; ++k)
            sum += product(k);
        return sum;
    }

  private:
    const Block &block_;
    const Kernels &kernels_;
    const std::uint8_t *operands_;
    const std::int8_t *weights_;
    Int bias_;
};

// An adder of a neuron without copies: one delta, found from one bit.
Int struck_once(const Layer &layer, const Use &use, Int sum, const PackedNeuron &neuron) {
    const Int partial = wrap(neuron.partial(layer.spans[std::size_t(use.place)]), layer.accumulator);
    const Int flipped = wrap(partial ^ (Int(1) << use.bit), layer.accumulator);
    return wrap(sum + flipped - partial, layer.accumulator);
}

} // namespace

void PackedWorker::strike(std::size_t number) {
    const Block &block = blocks_[number];
    const Layer &layer = *block.layer;
    if (adder_ != adder_end_)
        strike_adders(number);
    std::size_t job = 0;
    const auto sum_at = [&](Int row, int neuron) -> std::int32_t & {
        while (jobs_[job].row != row)
            ++job;
        return sums_[job * std::size_t(block.n_pad) + std::size_t(neuron)];
    };
    const Int last = jobs_.empty() ? -1 : jobs_.back().row;
    while (use_ != use_end_ && use_->row <= last) {
        const Use *first = use_;
        while (use_ != use_end_ && use_->same_neuron(*first))
            ++use_;
        std::int32_t &sum = sum_at(first->row, first->neuron);
        const PackedNeuron neuron(block, kernels_, parameters_[number], jobs_[job].operands, first->neuron);
        const bool simple = use_ - first == 1 && !first->on_product && !layer.hardened(first->neuron);
        const Int before = block.in_range(sum);
        const Voted after = simple ? Voted{struck_once(layer, *first, before, neuron), false}
                                   : striker_.struck(layer, first, use_, before, neuron);
        sum = std::int32_t(after.sum);
        if (after.differ)
            outcome_.flags.raise(first->row / block.pixels, layer.flag());
    }
    if (vote_ != vote_end_ && vote_->row <= last)
        strike_votes(block);
}

int PackedWorker::note_slots() {
    const std::int32_t from = jobs_.front().row;
    for (std::size_t k = 0; k < jobs_.size(); ++k)
        slots_[std::size_t(jobs_[k].row - from)] = std::int32_t(k);
    return from;
}

void PackedWorker::strike_votes(const Block &block) {
    const std::int32_t from = note_slots(), last = jobs_.back().row;
    const FixedPoint &type = block.layer->accumulator;
    for (; vote_ != vote_end_ && vote_->row <= last; ++vote_) {
        const std::ptrdiff_t slot = slots_[std::size_t(vote_->row - from)];
        std::int32_t &sum = sums_[std::size_t(slot * block.n_pad + vote_->neuron)];
        sum = std::int32_t(wrap(Int(sum) ^ (Int(1) << vote_->bit), type));
    }
}

void PackedWorker::strike_adders(std::size_t number) {
    const Block &block = blocks_[number];
    const PackedParameters &p = parameters_[number];
    const StruckAdder *first = adder_;
    const std::int32_t from = note_slots(), last = jobs_.back().row;
    while (adder_ != adder_end_ && adder_->row <= last)
        ++adder_;
    for (std::size_t k = 0; k < jobs_.size(); ++k)
        pointers_[k] = jobs_[k].operands;
    AdderStep step;
    step.slots = slots_.data();
    step.first_row = from;
    step.operands = pointers_.data();
    step.sums = sums_.data();
    step.n_pad = block.n_pad;
    step.by_neuron = p.by_neuron.data();
    step.k_pad = block.k_pad;
    step.biases = p.biases.data();
    step.spans = &block.layer->spans[0].first;
    step.spare = 32 - block.layer->accumulator.width;
    step.is_signed = block.layer->accumulator.is_signed;
    step.span_masks = block.span_masks.empty() ? nullptr : block.span_masks.data();
    values_.resize(std::max(values_.size(), adder_scratch(std::size_t(adder_ - first))));
    step.values = values_.data();
    step.order = order_.data();
    step.deltas = deltas_.data();
    kernels_.adders(step, first, std::size_t(adder_ - first));
}

bool PackedWorker::gather_masks(int row, int neuron) {
    if (flip_ == flip_end_ || flip_->row != row || flip_->neuron != neuron)
        return false;
    std::fill(masks_.begin(), masks_.end(), 0);
    for (; flip_ != flip_end_ && flip_->row == row && flip_->neuron == neuron; ++flip_)
        masks_[std::size_t(flip_->stage)] ^= Int(1) << flip_->bit;
    return true;
}

void PackedWorker::flip_registers(std::size_t number, std::uint8_t *bytes, int stride) {
    const Block &block = blocks_[number];
    const Int last = jobs_.empty() ? -1 : jobs_.back().row;
    std::size_t job = 0;
    std::ptrdiff_t sample = 0; // of the job, among those of the tile
    while (flip_ != flip_end_ && flip_->row <= last) {
        const Flip &first = *flip_;
        gather_masks(first.row, first.neuron);
        for (; jobs_[job].row != first.row; ++job)
            sample += jobs_[job].row / block.pixels != jobs_[job + 1].row / block.pixels;
        const Int sum = block.in_range(sums_[job * std::size_t(block.n_pad) + std::size_t(first.neuron)]);
        bytes[sample * stride + first.row % block.pixels * block.neurons + first.neuron] =
            block.byte_of(sum, masks_.data());
    }
}

void PackedWorker::finish_logits(std::size_t number) {
    const Block &block = blocks_[number];
    const bool registers = flip_ != flip_end_ && flip_->row <= jobs_.back().row;
    const std::size_t n_samples = jobs_.size() / std::size_t(block.pixels), from = outcome_.samples.size();
    for (std::size_t k = 0; k < n_samples; ++k)
        outcome_.samples.push_back(std::int32_t(jobs_[k * std::size_t(block.pixels)].row / block.pixels));
    const std::int32_t *samples = outcome_.samples.data() + from;
    if (block.pixels == 1 && block.chain.is_identity() && !registers && !with_logits_) {
        const FixedPoint &type = block.layer->accumulator;
        kernels_.tops(sums_.data(), samples, int(n_samples), block.neurons, block.n_pad, 32 - type.width,
                      type.is_signed, outcome_.answers);
        return;
    }
    for (std::size_t k = 0; k < n_samples; ++k)
        finish_sample(block, samples[k], sums_.data() + k * std::size_t(block.pixels) * std::size_t(block.n_pad));
}

void PackedWorker::finish_sample(const Block &block, int sample, const std::int32_t *sums) {
    const std::size_t from = outcome_.logits.size();
    for (int k = 0; k < block.n_out; ++k) {
        const int pixel = k / block.neurons, neuron = k % block.neurons;
        const Int sum = block.in_range(sums[std::ptrdiff_t(pixel) * block.n_pad + neuron]);
        const bool flips = gather_masks(sample * block.pixels + pixel, neuron);
        outcome_.logits.push_back(block.chain.leave(sum, flips ? masks_.data() : nullptr));
    }
    const Int *logits = outcome_.logits.data() + from;
    append_answer(outcome_.answers, sample, top_of(logits, block.n_out), block.n_out, [&](int k) { return logits[k]; });
    if (!with_logits_)
        outcome_.logits.resize(from);
}

} // namespace codesign::engine
