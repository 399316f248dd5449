#include "packed_batches.h"

#include <algorithm>
#include <cstring>

namespace codesign::engine {

Batches::Batches(const Block &block, const Kernels &kernels, const ConvKernels &conv_kernels)
    : block_(block), how_(block.convolution), kernels_(kernels), conv_kernels_(conv_kernels) {
    images_.assign(std::size_t(how_.image_bytes) * BATCH + VECTOR, 0);
    // The margins stay as they are.
    vectors_.assign(std::size_t(how_.n_vectors) * VECTOR, std::uint8_t(block.in_offset));
    const std::size_t behind = std::size_t(MOST_PIXELS) * std::size_t(block.neurons);
    planes_.assign((std::size_t(block.out_stride) + behind) * BATCH, 0);
    step_.vectors = vectors_.data();
    step_.groups = how_.groups.data();
    step_.n_groups = int(how_.groups.size());
    step_.channels = block.neurons;
    step_.requantise = block.requantise;
    step_.planes = planes_.data();
}

void Batches::prepare(const PackedParameters &parameters, const std::vector<std::int32_t> &neurons,
                      const Block &leaving) {
    neurons_ = neurons;
    weights_.clear();
    start_.clear();
    for (std::size_t first = 0; first < neurons.size(); first += MOST_NEURONS)
        pack(parameters, first, std::min<std::size_t>(MOST_NEURONS, neurons.size() - first));
    masks_.assign(std::size_t(leaving.out_stride / VECTOR), 0);
    for (int pixel = 0; pixel < leaving.pixels; ++pixel)
        for (const std::int32_t neuron : neurons) {
            const int at = pixel * leaving.neurons + neuron;
            masks_[std::size_t(at / VECTOR)] |= std::uint64_t(1) << at % VECTOR;
        }
    stride_ = leaving.out_stride;
    step_.n_outputs = leaving.pixels;
    step_.n_places = leaving.pools ? how_.n_places : 1;
    step_.pixels = leaving.pools ? how_.pooled_at.data() : how_.pixel_at.data();
    step_.weights = weights_.data();
    step_.start = start_.data();
    step_.neurons = neurons_.data();
    step_.n_neurons = int(neurons_.size());
}

void Batches::pack(const PackedParameters &parameters, std::size_t first, std::size_t n) {
    for (std::size_t j = first; j < first + n; ++j)
        start_.push_back(parameters.start[std::size_t(neurons_[j])]);
    for (const Span &operands : how_.operands)
        for (std::size_t j = first; j < first + n; ++j) {
            const std::int8_t *w = parameters.by_neuron.data() + std::ptrdiff_t(neurons_[j]) * block_.k_pad;
            for (int k = operands.first; k < operands.first + 4; ++k)
                weights_.push_back(k < operands.end ? w[k] : std::int8_t(0));
        }
}

std::uint32_t Batches::run(const std::uint8_t *const *images, const std::uint8_t *const *golden, std::uint8_t *rows) {
    const std::uint8_t *padded[BATCH];
    for (std::size_t k = 0; how_.image_bytes && k < BATCH; ++k) {
        std::uint8_t *image = images_.data() + k * std::size_t(how_.image_bytes);
        kernels_.gather(how_.padded.data(), how_.padded.size(), images[k], block_.padding.data(), image);
        padded[k] = image;
    }
    const std::int32_t *targets = how_.targets.data();
    for (std::size_t s = 0; s < how_.shifts.size(); ++s, targets += how_.n_dwords)
        conv_kernels_.interleave(how_.image_bytes ? padded : images, how_.shifts[s], how_.n_dwords, targets,
                                 vectors_.data());
    conv_kernels_.convolve(step_);
    return conv_kernels_.rows_of(planes_.data(), masks_.data(), stride_, golden, rows);
}

} // namespace codesign::engine
