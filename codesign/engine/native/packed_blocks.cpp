#include "packed_worker.h"

#include <algorithm>
#include <cstring>

namespace codesign::engine {

namespace {

constexpr int GIVE_UP = 8; // updates that fail in a row before none is tried any more

// A line at a time: for so little a call of memcpy takes longer than the copy.
void copy_sums(const std::int32_t *from, int n_pad, std::int32_t *to) {
    for (int j = 0; j < n_pad; j += LANES)
        std::memcpy(to + j, from + j, LANES * sizeof *to);
}

} // namespace

const std::uint8_t *PackedWorker::changed_entering(std::size_t number, int sample, int &at) const {
    if (number == 0)
        return nullptr;
    const Rows &rows = rows_[number - 1];
    while (at < rows.n && rows.samples[std::size_t(at)] < sample)
        ++at;
    if (at == rows.n || rows.samples[std::size_t(at)] != sample)
        return nullptr;
    return rows.bytes.data() + std::ptrdiff_t(at) * blocks_[number].in_stride;
}

void PackedWorker::by_columns(std::size_t number, int first, int end) {
    const Block &block = blocks_[number];
    const std::vector<ChangedParameter> &changed = struck_[number].changed;
    if (changed.size() == 1 && changed[0].target == WEIGHT && block.vectors)
        return one_column(number, first, end);
    neurons_.clear();
    for (const ChangedParameter &p : changed)
        neurons_.push_back(p.neuron);
    std::sort(neurons_.begin(), neurons_.end());
    neurons_.erase(std::unique(neurons_.begin(), neurons_.end()), neurons_.end());
    // Many columns take longer than all rows anew.
    if (int(changed.size()) * 8 > block.neurons && steps(number)) {
        if (some_neurons(number, first, end))
            return;
        find_touched(number, first, end);
        return step(number);
    }
    const int n = end - first, width = rounded_up(chunk_, TILE);
    std::int32_t *sums = more_sums_.data();
    std::fill_n(flags_.data(), n, std::uint8_t(0));
    for (std::size_t c = 0; c < neurons_.size(); ++c) {
        const std::ptrdiff_t column = std::ptrdiff_t(neurons_[c]) * block.column_stride + first;
        const std::uint32_t start = std::uint32_t(parameters_[number].start[std::size_t(neurons_[c])]) -
                                    std::uint32_t(block.parameters.start[std::size_t(neurons_[c])]);
        for (int k = 0; k < n; ++k)
            sums[k] = std::int32_t(std::uint32_t(block.sum_columns[std::size_t(column + k)]) + start);
        for (const ChangedParameter &p : changed) {
            if (p.target != WEIGHT || p.neuron != neurons_[c])
                continue;
            const std::ptrdiff_t from = std::ptrdiff_t(p.operand) * block.column_stride + first;
            kernels_.add_column(block.entering_columns.data() + from, std::int32_t(p.after - p.before), n, sums);
        }
        std::uint8_t *bytes = columns_.data() + std::ptrdiff_t(c) * width;
        if (block.vectors)
            kernels_.requantise(block.requantise, sums, 1, n, n, bytes, n);
        else
            for (int k = 0; k < n; ++k)
                bytes[k] = block.byte_of(block.in_range(sums[k]));
        const std::uint8_t *golden = block.leaving_columns.data() + column;
        for (int k = 0; k < n; ++k)
            flags_[std::size_t(k)] |= std::uint8_t(bytes[k] ^ golden[k]);
    }
    Rows &rows = rows_[number];
    rows.n = int(kernels_.differing(flags_.data(), zeros_.data(), n, first, rows.samples.data()) - rows.samples.data());
    for (int r = 0; r < rows.n; ++r) {
        const std::int32_t sample = rows.samples[std::size_t(r)];
        std::uint8_t *row = rows.bytes.data() + std::ptrdiff_t(r) * block.out_stride;
        std::memcpy(row, block.leaving.data() + std::ptrdiff_t(sample) * block.out_stride,
                    std::size_t(block.out_stride));
        for (std::size_t c = 0; c < neurons_.size(); ++c)
            row[neurons_[c]] = columns_[c * std::size_t(width) + std::size_t(sample - first)];
    }
}

bool PackedWorker::some_neurons(std::size_t number, int first, int end) {
    const Block &block = blocks_[number];
    const int size = int(neurons_.size()), vectors = size <= LANES ? 1 : 2;
    const bool fits = block.out_stride == LINE && block.requantise.plain() && size <= SomeNeurons::MOST;
    if (!kernels_.forward_some || !fits || vectors * LANES >= block.n_pad)
        return false;
    const PackedParameters &p = parameters_[number];
    some_.vectors = vectors;
    some_.mask = 0;
    some_packed_.resize(std::size_t(block.k4) * std::size_t(vectors) * LANES * 4);
    some_.packed = some_packed_.data();
    for (int slot = 0; slot < size; ++slot) {
        const int neuron = neurons_[std::size_t(slot)];
        some_.start[slot] = p.start[std::size_t(neuron)];
        some_.words[neuron % 16 / 8][neuron / 16 * 8 + neuron % 8] = std::uint16_t(SomeNeurons::word_of(slot));
        some_.mask |= std::uint64_t(1) << neuron;
        const std::int8_t *from = p.packed.data() + 4 * neuron;
        std::int8_t *to = some_packed_.data() + 4 * slot;
        for (int k = 0; k < block.k4; ++k, from += 4 * block.n_pad, to += 4 * vectors * LANES)
            std::memcpy(to, from, 4);
    }
    Rows &rows = rows_[number];
    rows.n = kernels_.forward_some(steps_[number], some_, first, end - first, rows.bytes.data(), rows.samples.data());
    return true;
}

void PackedWorker::one_column(std::size_t number, int first, int end) {
    const Block &block = blocks_[number];
    const ChangedParameter &changed = struck_[number].changed[0];
    const int neuron = changed.neuron, k = changed.operand;
    const std::ptrdiff_t column = std::ptrdiff_t(neuron) * block.column_stride + first;
    ColumnStep how;
    how.sums = block.sum_columns.data() + column;
    how.entering = block.entering_columns.data() + std::ptrdiff_t(k) * block.column_stride + first;
    how.leaving = block.leaving_columns.data() + column;
    how.factor = std::int32_t(changed.after - changed.before);
    how.start = parameters_[number].start[std::size_t(neuron)] - block.parameters.start[std::size_t(neuron)];
    how.requantise = block.requantise;
    Rows &rows = rows_[number];
    rows.n = kernels_.column(how, end - first, first, rows.samples.data(), rows.deltas.data());
    rows.column = neuron;
}

void PackedWorker::dense_rows(std::size_t number) {
    const Block &block = blocks_[number];
    const bool anew = !block.keeps_sums || !struck_[number].changed.empty();
    Rows &rows = rows_[number];
    const std::uint8_t *golden_in = simulator_.entering(number, 0);
    const bool enters = number && rows_[number - 1].n;
    int at = 0, failed = 0;
    for (std::size_t first = 0; first < touched_.size(); first += TILE) {
        const int n = int(std::min<std::size_t>(TILE, touched_.size() - first));
        jobs_.clear();
        full_.clear();
        for (int t = 0; t < n; ++t) {
            const std::int32_t sample = touched_[first + std::size_t(t)];
            const std::uint8_t *golden = golden_in + std::ptrdiff_t(sample) * block.in_stride;
            const std::uint8_t *changed = enters ? changed_entering(number, sample, at) : nullptr;
            jobs_.push_back({sample, changed ? changed : golden});
            const std::int32_t *kept = block.sums.data() + std::ptrdiff_t(sample) * block.n_pad;
            std::int32_t *sums = sums_.data() + std::ptrdiff_t(t) * block.n_pad;
            if (!anew && !changed) {
                copy_sums(kept, block.n_pad, sums);
            } else if (!anew && failed < GIVE_UP &&
                       kernels_.update(changed, golden, block.in_stride, kept, block.by_input.data(), block.n_pad,
                                       most_updates(block), sums)) {
                failed = 0;
            } else {
                ++failed;
                full_.push_back(t);
            }
        }
        multiply_some(number);
        strike(number);
        if (block.last) {
            finish_logits(number);
            continue;
        }
        std::uint8_t *bytes = rows.bytes.data() + std::ptrdiff_t(rows.n) * block.out_stride;
        block.leave(kernels_, sums_.data(), n, bytes, block.out_stride);
        flip_registers(number, bytes, block.out_stride);
        rows.n += kernels_.keep_changed(bytes, n, block.out_stride, block.leaving.data(), touched_.data() + first,
                                        rows.samples.data() + rows.n);
    }
}

void PackedWorker::multiply_some(std::size_t number) {
    if (full_.empty())
        return;
    const Block &block = blocks_[number];
    const PackedParameters &p = parameters_[number];
    for (std::size_t k = 0; k < full_.size(); ++k)
        pointers_[k] = jobs_[std::size_t(full_[k])].operands;
    const bool all = full_.size() == jobs_.size();
    std::int32_t *sums = all ? sums_.data() : more_sums_.data();
    kernels_.multiply(pointers_.data(), int(full_.size()), p.packed.data(), block.k4, block.n_pad, p.start.data(),
                      sums);
    for (std::size_t k = 0; !all && k < full_.size(); ++k)
        std::memcpy(sums_.data() + std::ptrdiff_t(full_[k]) * block.n_pad, sums + k * std::size_t(block.n_pad),
                    std::size_t(block.n_pad) * sizeof *sums);
}

} // namespace codesign::engine
