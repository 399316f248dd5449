#include "packed_worker.h"

#include <algorithm>
#include <cstring>

namespace codesign::engine {

namespace {

constexpr std::size_t CHUNK_BYTES = 4u << 20; // of a block's changed samples

DenseStep step_of(const Block &block, const PackedParameters &parameters, const std::uint8_t *golden_in) {
    DenseStep step{};
    step.golden_in = golden_in;
    step.golden_sums = block.sums.data();
    step.golden_out = block.leaving.data();
    step.in_stride = block.in_stride;
    step.out_stride = block.out_stride;
    step.packed = parameters.packed.data();
    step.by_input = block.by_input.data();
    step.start = parameters.start.data();
    step.k4 = block.k4;
    step.n_pad = block.n_pad;
    step.neurons = block.neurons;
    step.requantise = block.requantise;
    step.most = most_updates(block);
    step.spare = 32 - block.layer->accumulator.width;
    step.is_signed = block.layer->accumulator.is_signed;
    return step;
}

} // namespace

PackedWorker::PackedWorker(const PackedSimulator &simulator)
    : simulator_(simulator), kernels_(simulator.kernels()), blocks_(simulator.blocks()),
      block_of_(simulator.model().layers.size(), -1), struck_(blocks_.size()), rows_(blocks_.size()),
      outcome_(simulator.n_samples(), simulator.golden_tops().data()) {
    std::size_t widest = 1;
    int n_pad = 0, k_pad = 0, neurons = 0, pixels = 0;
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
        const Block &block = blocks_[b];
        for (int index = 0; index < int(block_of_.size()); ++index)
            if (index == block.index || (!block.pools && block.chain.has(index)))
                block_of_[std::size_t(index)] = int(b);
        parameters_.push_back(block.parameters);
        widest = std::max(widest, std::size_t(block.out_stride));
        n_pad = std::max(n_pad, block.n_pad);
        k_pad = std::max(k_pad, block.k_pad);
        neurons = std::max(neurons, block.neurons);
        pixels =
            std::max({pixels, block.pixels, block.pools ? 0 : block.n_in / std::max(block.layer->window.channels, 1)});
    }
    chunk_ = std::min(simulator.n_samples(), std::max(1, int(CHUNK_BYTES / widest) / TILE) * TILE);
    for (std::size_t b = 0; b < blocks_.size(); ++b)
        steps_.push_back(step_of(blocks_[b], parameters_[b], simulator.entering(b, 0)));
    const ConvKernels *conv_kernels = simulator.conv_kernels();
    for (const Block &block : blocks_)
        batches_.push_back(conv_kernels && block.vectors && block.convolution.regular
                               ? std::make_unique<Batches>(block, kernels_, *conv_kernels)
                               : nullptr);
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
        // Room for a tile more than a chunk: rows are made in tiles and then kept or not.
        rows_[b].samples.resize(std::size_t(chunk_ + TILE));
        rows_[b].bytes.assign(std::size_t(chunk_ + TILE) * std::size_t(blocks_[b].out_stride), 0);
        rows_[b].deltas.assign(std::size_t(chunk_ + TILE), 0);
    }
    const std::size_t tile_rows = std::size_t(std::max(TILE, pixels));
    sums_.resize(tile_rows * std::size_t(n_pad));
    more_sums_.resize(std::max(std::size_t(TILE) * std::size_t(n_pad), std::size_t(rounded_up(chunk_, TILE))));
    gathered_.assign((tile_rows + 1) * std::size_t(k_pad) + TILE, 0);
    columns_.assign(std::size_t(neurons) * std::size_t(rounded_up(chunk_, TILE)), 0);
    flags_.assign(std::size_t(rounded_up(chunk_, TILE)), 0);
    touch_.assign(std::size_t(chunk_ + TILE), 0);
    zeros_.assign(std::size_t(chunk_ + TILE), 0);
    slots_.assign(std::size_t(std::max(chunk_, pixels)), 0);
    places_.resize(std::size_t(chunk_ + TILE));
    pointers_.resize(std::max(tile_rows, std::size_t(chunk_)));
    changed_pixels_.resize(std::size_t(pixels));
    std::size_t stages = 0, adder_bits = 0;
    for (const Block &block : blocks_) {
        stages = std::max(stages, std::size_t(block.chain.size()));
        const std::size_t bits = std::size_t(block.fan_in) * std::size_t(block.layer->accumulator.width);
        adder_bits = std::max(adder_bits, block.dense() ? bits : 0);
    }
    order_.resize(adder_bits);
    deltas_.resize(adder_bits);
    masks_.resize(stages);
}

void PackedWorker::forget_trial() {
    for (Struck &struck : struck_)
        if (struck.used)
            struck.clear();
    outcome_.clear();
}

const Outcome &PackedWorker::run(const Fault *faults, std::size_t n_faults, bool with_logits) {
    forget_trial();
    sort_faults(faults, n_faults);
    settle_faults();
    return run_sorted(with_logits);
}

const Outcome &PackedWorker::run_drawn(const FaultSpace &space, Int trial, bool with_logits) {
    forget_trial();
    drawn_.clear();
    if (!space.by_rate())
        space.draw(trial, drawn_, kernels_);
    for (const Segment &segment : space.segments())
        if (space.by_rate() && !draw_adders(space, segment, trial) && !draw_flips(space, segment, trial) &&
            !draw_parameters(space, segment, trial))
            space.draw_segment(segment, trial, drawn_, kernels_);
    sort_faults(drawn_.data(), drawn_.size());
    settle_faults();
    return run_sorted(with_logits);
}

const Outcome &PackedWorker::run_sorted(bool with_logits) {
    with_logits_ = with_logits;
    for (int first = 0; first < simulator_.n_samples(); first += chunk_)
        run_chunk(first, std::min(first + chunk_, simulator_.n_samples()));
    for (std::size_t b = 0; b < blocks_.size(); ++b)
        for (const ChangedParameter &p : struck_[b].changed) {
            const Block &block = blocks_[b];
            if (p.target == WEIGHT)
                set_weight(block, p.operand, p.neuron, p.after, p.before, parameters_[b]);
            else
                set_bias(block, p.neuron, p.after, p.before, parameters_[b]);
        }
    return outcome_;
}

void PackedWorker::run_chunk(int first, int end) {
    for (std::size_t b = first_block_; b < blocks_.size(); ++b)
        run_block(b, first, end);
}

void PackedWorker::run_block(std::size_t number, int first, int end) {
    if (joined_ && joined_ == number) {
        joined_ = 0;
        return;
    }
    const Block &block = blocks_[number];
    const bool enters = number > first_block_ && rows_[number - 1].n;
    if (number == first_block_ && number)
        rows_[number - 1].n = 0;
    rows_[number].n = 0;
    rows_[number].column = -1;
    if (!enters && !struck_[number].used)
        return;
    collect(number, first, end);
    const bool quiet = unstruck();
    if (!enters && !struck_[number].changed.empty() && quiet && block.keeps_sums && !block.last)
        return by_columns(number, first, end);
    const bool stepping = quiet && steps(number);
    if (enters && rows_[number - 1].column >= 0) {
        if (stepping && block.keeps_sums && !block.last && struck_[number].changed.empty()) {
            const Rows &in = rows_[number - 1];
            Rows &out = rows_[number];
            out.n = kernels_.forward_column(steps_[number], in.column, in.deltas.data(), in.samples.data(), in.n,
                                            out.bytes.data(), out.samples.data());
            return;
        }
        fill_rows(number - 1);
    }
    find_touched(number, first, end);
    if (block.pools)
        pool(number);
    else if (stepping)
        step(number);
    else if (block.dense())
        dense_rows(number);
    else if (in_batches(number, quiet))
        conv_batches(number);
    else
        conv_rows(number);
}

bool PackedWorker::steps(std::size_t number) const {
    const Block &block = blocks_[number];
    if (block.pools || !block.dense() || block.n_pad > MOST_LANES)
        return false;
    return block.last ? block.chain.is_identity() && !with_logits_ : block.vectors;
}

void PackedWorker::step(std::size_t number) {
    const Block &block = blocks_[number];
    DenseStep &how = steps_[number];
    how.most = block.keeps_sums && struck_[number].changed.empty() ? most_updates(block) : -1;
    const int n = int(touched_.size());
    const Rows *in = number ? &rows_[number - 1] : nullptr;
    const std::ptrdiff_t stride = block.in_stride;
    if (in && in->n == n) { // all that is touched has changed
        for (int k = 0; k < n; ++k)
            pointers_[std::size_t(k)] = in->bytes.data() + k * stride;
    } else {
        const std::uint8_t *golden = simulator_.entering(number, 0);
        for (int k = 0; k < n; ++k)
            pointers_[std::size_t(k)] = golden + touched_[std::size_t(k)] * stride;
        for (int k = 0, at = 0; in && at < in->n; ++at) {
            while (touched_[std::size_t(k)] != in->samples[std::size_t(at)])
                ++k;
            pointers_[std::size_t(k)] = in->bytes.data() + at * stride;
        }
    }
    if (!block.last) {
        Rows &rows = rows_[number];
        rows.n = kernels_.forward(how, pointers_.data(), touched_.data(), n, rows.bytes.data(), rows.samples.data());
        return;
    }
    kernels_.forward_tops(how, pointers_.data(), touched_.data(), n, outcome_.answers);
}

void PackedWorker::fill_rows(std::size_t number) {
    const Block &block = blocks_[number];
    Rows &rows = rows_[number];
    for (int r = 0; r < rows.n; ++r) {
        std::uint8_t *row = rows.bytes.data() + std::ptrdiff_t(r) * block.out_stride;
        const std::ptrdiff_t golden = std::ptrdiff_t(rows.samples[std::size_t(r)]) * block.out_stride;
        std::memcpy(row, block.leaving.data() + golden, std::size_t(block.out_stride));
        row[rows.column] = std::uint8_t(row[rows.column] + rows.deltas[std::size_t(r)]);
    }
    rows.column = -1;
}

} // namespace codesign::engine
