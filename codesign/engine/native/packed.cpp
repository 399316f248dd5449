#include "packed.h"

#include <algorithm>
#include <cstring>

#include "packed_worker.h"
#include "passive.h"

namespace codesign::engine {

namespace {

// Sums are kept and rounded in 32 bits: two to spare.
constexpr int MAX_ACCUMULATOR = 30;
constexpr int BYTE = 8;
constexpr std::size_t SLACK = 64; // bytes that kernels may read behind the last
// Fault-free sums that are kept beside the values of all blocks, in bytes.
constexpr std::size_t SUMS_BUDGET = std::size_t(40) << 20;

// What a dense block keeps of each sample besides what leaves it: its sums, and columns of what it is made of.
std::size_t sum_bytes(const Block &block) {
    const int columns = block.last ? 0 : block.n_in + 5 * block.neurons;
    return 4 * std::size_t(block.n_pad) + std::size_t(columns);
}

bool sums_fit(const Layer &layer) {
    if (layer.kind != Kind::DENSE && layer.kind != Kind::CONV)
        return false;
    const FixedPoint &w = layer.weight.type;
    return layer.source_types[0].width <= BYTE && w.width <= (w.is_signed ? BYTE : BYTE - 1) && layer.exact() &&
           layer.accumulator.frac == layer.product_frac() && layer.accumulator.width <= MAX_ACCUMULATOR;
}

bool pools_bytes(const Layer &layer) {
    const FixedPoint &from = layer.source_types[0], &to = layer.result;
    return layer.kind == Kind::MAX_POOL && from.width <= BYTE && from.width == to.width && from.frac == to.frac &&
           from.is_signed == to.is_signed && to.overflow != Overflow::SAT_SYM;
}

// Layers sorted into blocks: no blocks where one of them does not fit.
std::vector<Block> blocks_of(const Model &model) {
    std::vector<Block> blocks;
    int stride = rounded_up(model.n_in, 64);
    for (int index = 0; index < int(model.layers.size()); ++index) {
        const Layer &layer = model.layers[std::size_t(index)];
        if (layer.sources[0] != index - 1 || layer.sources.size() != 1)
            return {};
        if (layer.kind == Kind::RESHAPE && layer.result == layer.source_types[0] &&
            layer.result.overflow != Overflow::SAT_SYM) // the same bytes in another shape
            continue;
        if (is_elementwise(layer) && !blocks.empty() && !blocks.back().pools) {
            blocks.back().chain.append(index, layer);
            continue;
        }
        if (sums_fit(layer))
            blocks.push_back(sums_block(layer, index, stride));
        else if (pools_bytes(layer))
            blocks.push_back(pool_block(layer, index, stride));
        else
            return {};
        stride = blocks.back().out_stride;
    }
    if (blocks.empty() || blocks.back().pools)
        return {};
    blocks.back().last = true;
    return blocks;
}

// Widths between blocks are checked where they enter the next one; the last one's sums are its logits.
void settle(Block &block) {
    if (block.pools || block.last)
        return;
    block.out_offset = offset_of(block.chain.result());
    block.vectors = block.chain.as_requantise(block.requantise);
}

// A pooling may come before the rounding where that keeps the order of sums.
void join(const Block &pool, Block &block) {
    const bool keeps_order = block.vectors && !block.requantise.wraps && block.requantise.sum_spare == 0;
    if (keeps_order && block.convolution.regular)
        add_pooling(*pool.layer, block.convolution);
}

} // namespace

bool PackedSimulator::takes(const Model &model) { return !blocks_of(model).empty(); }

PackedSimulator::PackedSimulator(const Model &model, const std::vector<Int> &inputs, int n_samples, int level)
    : model_(model), n_samples_(n_samples), level_(level), kernels_(&kernels_up_to(level_)),
      conv_kernels_(::codesign::engine::conv_kernels(level_)), blocks_(blocks_of(model)) {
    const int stride = rounded_up(model.n_in, 64), offset = offset_of(model.input_type);
    inputs_.assign(std::size_t(n_samples) * std::size_t(stride) + SLACK, 0);
    for (int sample = 0; sample < n_samples; ++sample)
        for (int k = 0; k < model.n_in; ++k)
            inputs_[std::size_t(sample) * std::size_t(stride) + std::size_t(k)] =
                std::uint8_t(inputs[std::size_t(sample) * std::size_t(model.n_in) + std::size_t(k)] + offset);
    std::size_t budget = SUMS_BUDGET;
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
        settle(blocks_[b]);
        const std::size_t bytes = sum_bytes(blocks_[b]) * std::size_t(n_samples);
        blocks_[b].keeps_sums = blocks_[b].dense() && bytes <= budget;
        budget -= blocks_[b].keeps_sums ? bytes : 0;
        if (b && blocks_[b].pools)
            join(blocks_[b], blocks_[b - 1]);
        compute(b);
    }
    golden_tops_ = tops_of(golden_, model_.last().n_out);
}

std::unique_ptr<Worker> PackedSimulator::worker() const { return std::make_unique<PackedWorker>(*this); }

const std::uint8_t *PackedSimulator::entering(std::size_t block, int sample) const {
    const Bytes &values = block ? blocks_[block - 1].leaving : inputs_;
    return values.data() + std::size_t(sample) * std::size_t(blocks_[block].in_stride);
}

void PackedSimulator::compute(std::size_t number) {
    Block &block = blocks_[number];
    const std::size_t n = std::size_t(n_samples_), out_stride = std::size_t(block.out_stride);
    const std::size_t row_sums = std::size_t(block.pixels) * std::size_t(block.n_pad);
    block.leaving.assign(block.last ? 0 : n * out_stride + SLACK, 0);
    if (block.keeps_sums)
        block.sums.resize(n * row_sums);
    Lines<std::int32_t> of_sample(row_sums);
    Bytes gathered(std::size_t(block.pixels) * std::size_t(block.k_pad) + SLACK);
    std::vector<const std::uint8_t *> rows(std::size_t(block.pixels));
    for (int sample = 0; sample < n_samples_; ++sample) {
        const std::uint8_t *values = entering(number, sample);
        std::uint8_t *leaving = block.leaving.data() + (block.last ? 0 : std::size_t(sample) * out_stride);
        if (block.pools) {
            const Window &window = block.layer->window;
            kernels_->max_pool(values, window.places.data(), block.pixels, window.n_places, block.neurons, leaving);
            continue;
        }
        std::int32_t *sums = block.keeps_sums ? block.sums.data() + std::size_t(sample) * row_sums : of_sample.data();
        for (int pixel = 0; pixel < block.pixels; ++pixel)
            rows[std::size_t(pixel)] =
                block.operands(*kernels_, values, pixel, gathered.data() + std::ptrdiff_t(pixel) * block.k_pad);
        kernels_->multiply(rows.data(), block.pixels, block.parameters.packed.data(), block.k4, block.n_pad,
                           block.parameters.start.data(), sums);
        if (!block.last) {
            block.leave(*kernels_, sums, block.pixels, leaving, block.neurons);
            continue;
        }
        for (int pixel = 0; pixel < block.pixels; ++pixel)
            for (int j = 0; j < block.neurons; ++j)
                golden_.push_back(block.chain.leave(block.in_range(sums[std::ptrdiff_t(pixel) * block.n_pad + j])));
    }
    if (!block.keeps_sums || block.last)
        return;
    block.column_stride = rounded_up(n_samples_, 64);
    const std::size_t column = std::size_t(block.column_stride);
    block.entering_columns.assign(std::size_t(block.n_in) * column, 0);
    block.leaving_columns.assign(std::size_t(block.neurons) * column, 0);
    block.sum_columns.assign(std::size_t(block.neurons) * column, 0);
    for (std::size_t sample = 0; sample < n; ++sample) {
        const std::uint8_t *values = entering(number, int(sample));
        for (std::size_t k = 0; k < std::size_t(block.n_in); ++k)
            block.entering_columns[k * column + sample] = values[k];
        for (std::size_t j = 0; j < std::size_t(block.neurons); ++j) {
            block.leaving_columns[j * column + sample] = block.leaving[sample * out_stride + j];
            block.sum_columns[j * column + sample] = block.sums[sample * row_sums + j];
        }
    }
}

} // namespace codesign::engine
