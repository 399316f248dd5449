#include "packed_worker.h"

#include <algorithm>
#include <cstring>

namespace codesign::engine {

namespace {

constexpr std::size_t FEW = 8;   // samples that are not worth a batch
constexpr std::size_t LOOKS = 4; // at samples, for how much of them has changed
constexpr int SPARSE = 4;        // with fewer than every fourth pixel changed, only those are computed

} // namespace

void PackedWorker::pool(std::size_t number) {
    const Block &block = blocks_[number];
    const Window &window = block.layer->window;
    Rows &rows = rows_[number];
    int at = 0;
    for (const std::int32_t sample : touched_) {
        std::uint8_t *row = rows.bytes.data() + std::ptrdiff_t(rows.n) * block.out_stride;
        const std::uint8_t *golden = block.leaving.data() + std::ptrdiff_t(sample) * block.out_stride;
        if (const std::uint8_t *changed = changed_entering(number, sample, at))
            kernels_.max_pool(changed, window.places.data(), block.pixels, window.n_places, block.neurons, row);
        else
            std::memcpy(row, golden, std::size_t(block.out_stride));
        for (; flip_ != flip_end_ && flip_->row < (sample + 1) * block.pixels; ++flip_) {
            std::uint8_t &byte = row[(flip_->row - sample * block.pixels) * block.neurons + flip_->neuron];
            const Int value = Int(byte) - block.out_offset;
            byte = std::uint8_t(wrap(value ^ (Int(1) << flip_->bit), block.layer->result) + block.out_offset);
        }
        if (std::memcmp(row, golden, std::size_t(block.n_out)) != 0)
            rows.samples[std::size_t(rows.n++)] = sample;
    }
}

bool PackedWorker::in_batches(std::size_t number, bool quiet) {
    const Block &block = blocks_[number];
    const std::size_t n = touched_.size();
    if (!batches_[number] || !quiet || block.last || n < FEW)
        return false;
    if (!struck_[number].changed.empty())
        return true;
    // Nothing but some inputs have changed: a look at a few samples tells how many.
    std::ptrdiff_t changed_pixels = 0;
    int at = 0;
    for (std::size_t look = 0; look < LOOKS; ++look) {
        const std::int32_t sample = touched_[look * n / LOOKS];
        mark_pixels(number, sample, simulator_.entering(number, sample), changed_entering(number, sample, at));
        changed_pixels += std::count(changed_pixels_.begin(), changed_pixels_.begin() + block.pixels, 1);
    }
    return changed_pixels * SPARSE >= std::ptrdiff_t(LOOKS) * block.pixels;
}

void PackedWorker::find_neurons(std::size_t number) {
    const int neurons = blocks_[number].neurons;
    const bool enters = number && rows_[number - 1].n;
    neurons_.clear();
    for (int j = 0; enters && j < neurons; ++j)
        neurons_.push_back(j);
    if (enters)
        return;
    for (const ChangedParameter &p : struck_[number].changed)
        neurons_.push_back(p.neuron);
    std::sort(neurons_.begin(), neurons_.end());
    neurons_.erase(std::unique(neurons_.begin(), neurons_.end()), neurons_.end());
}

void PackedWorker::conv_batches(std::size_t number) {
    const bool joins = !blocks_[number].convolution.pooled_at.empty() && !struck_[number + 1].used;
    joined_ = joins ? number + 1 : 0;
    const Block &behind = blocks_[number + joins];
    Rows &rows = rows_[number + joins];
    rows.n = 0;
    rows.column = -1;
    find_neurons(number);
    Batches &batches = *batches_[number];
    batches.prepare(parameters_[number], neurons_, behind);
    const std::ptrdiff_t stride = behind.out_stride;
    int at = 0;
    for (std::size_t first = 0; first < touched_.size(); first += BATCH) {
        const std::size_t n = std::min<std::size_t>(BATCH, touched_.size() - first);
        const std::uint8_t *images[BATCH], *golden[BATCH];
        for (std::size_t k = 0; k < BATCH; ++k) {
            const std::int32_t sample = touched_[first + std::min(k, n - 1)];
            const std::uint8_t *changed = changed_entering(number, sample, at);
            images[k] = changed ? changed : simulator_.entering(number, sample);
            golden[k] = behind.leaving.data() + sample * stride;
        }
        std::uint8_t *made = rows.bytes.data() + rows.n * stride;
        const std::uint32_t differ = batches.run(images, golden, made);
        for (std::size_t k = 0; k < n; ++k) {
            if (!(differ >> k & 1))
                continue;
            std::uint8_t *row = rows.bytes.data() + rows.n * stride, *from = made + std::ptrdiff_t(k) * stride;
            if (row != from)
                std::memcpy(row, from, std::size_t(stride));
            rows.samples[std::size_t(rows.n++)] = touched_[first + k];
        }
    }
}

void PackedWorker::mark_pixels(std::size_t number, int sample, const std::uint8_t *values,
                               const std::uint8_t *changed) {
    const Block &block = blocks_[number];
    const Window &window = block.layer->window;
    const bool all = !struck_[number].changed.empty() || block.last;
    std::fill_n(changed_pixels_.begin(), block.pixels, std::uint8_t(all));
    if (all)
        return;
    if (changed) {
        const std::size_t channels = std::size_t(window.channels);
        const std::int32_t *places = window.places.data();
        for (int pixel = 0; pixel < block.pixels; ++pixel, places += window.n_places)
            for (int place = 0; place < window.n_places && !changed_pixels_[std::size_t(pixel)]; ++place) {
                if (places[place] < 0)
                    continue;
                const std::size_t from = std::size_t(places[place]) * channels;
                changed_pixels_[std::size_t(pixel)] = std::memcmp(values + from, changed + from, channels) != 0;
            }
    }
    const Int row = Int(sample) * block.pixels, end = row + block.pixels;
    for (const Use *use = use_; use != use_end_ && use->row < end; ++use)
        changed_pixels_[std::size_t(use->row - row)] = 1;
    for (const Flip *vote = vote_; vote != vote_end_ && vote->row < end; ++vote)
        changed_pixels_[std::size_t(vote->row - row)] = 1;
    for (const Flip *flip = flip_; flip != flip_end_ && flip->row < end; ++flip)
        changed_pixels_[std::size_t(flip->row - row)] = 1;
}

void PackedWorker::conv_rows(std::size_t number) {
    const Block &block = blocks_[number];
    const bool quiet = unstruck(), all = !struck_[number].changed.empty() && !block.last;
    Rows &rows = rows_[number];
    int at = 0;
    for (const std::int32_t sample : touched_) {
        const std::uint8_t *golden_values = simulator_.entering(number, sample);
        const std::uint8_t *changed = changed_entering(number, sample, at);
        const std::uint8_t *values = changed ? changed : golden_values;
        if (quiet && all) {
            all_pixels(number, sample, values);
            continue;
        }
        mark_pixels(number, sample, golden_values, changed);
        jobs_.clear();
        full_.clear();
        for (int pixel = 0; pixel < block.pixels; ++pixel) {
            if (!changed_pixels_[std::size_t(pixel)])
                continue;
            std::uint8_t *buffer = gathered_.data() + std::ptrdiff_t(jobs_.size()) * block.k_pad;
            full_.push_back(int(jobs_.size()));
            jobs_.push_back({sample * block.pixels + pixel, block.operands(kernels_, values, pixel, buffer)});
        }
        multiply_some(number);
        strike(number);
        if (block.last) {
            finish_logits(number);
            continue;
        }
        std::uint8_t *row = rows.bytes.data() + std::ptrdiff_t(rows.n) * block.out_stride;
        const std::uint8_t *golden = block.leaving.data() + std::ptrdiff_t(sample) * block.out_stride;
        if (int(jobs_.size()) == block.pixels) {
            block.leave(kernels_, sums_.data(), block.pixels, row, block.neurons);
        } else {
            std::memcpy(row, golden, std::size_t(block.out_stride));
            for (std::size_t k = 0; k < jobs_.size(); ++k)
                block.leave(kernels_, sums_.data() + k * std::size_t(block.n_pad), 1,
                            row + (jobs_[k].row - Int(sample) * block.pixels) * block.neurons, block.neurons);
        }
        flip_registers(number, row, block.out_stride);
        if (std::memcmp(row, golden, std::size_t(block.n_out)) != 0)
            rows.samples[std::size_t(rows.n++)] = sample;
    }
}

void PackedWorker::all_pixels(std::size_t number, int sample, const std::uint8_t *values) {
    const Block &block = blocks_[number];
    const PackedParameters &p = parameters_[number];
    Rows &rows = rows_[number];
    kernels_.gather(block.runs.data(), block.runs.size(), values, block.padding.data(), gathered_.data());
    for (int pixel = 0; pixel < block.pixels; ++pixel)
        pointers_[std::size_t(pixel)] = gathered_.data() + std::ptrdiff_t(pixel) * block.k_pad;
    kernels_.multiply(pointers_.data(), block.pixels, p.packed.data(), block.k4, block.n_pad, p.start.data(),
                      sums_.data());
    std::uint8_t *row = rows.bytes.data() + std::ptrdiff_t(rows.n) * block.out_stride;
    block.leave(kernels_, sums_.data(), block.pixels, row, block.neurons);
    const std::uint8_t *golden = block.leaving.data() + std::ptrdiff_t(sample) * block.out_stride;
    if (std::memcmp(row, golden, std::size_t(block.n_out)) != 0)
        rows.samples[std::size_t(rows.n++)] = sample;
}

} // namespace codesign::engine
