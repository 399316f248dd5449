// Inner loops of convolutions on sixteen samples at a time, for instruction sets that are worth it.
#ifndef CODESIGN_ENGINE_KERNELS_CONV_H_
#define CODESIGN_ENGINE_KERNELS_CONV_H_

#include "kernels.h"

namespace codesign::engine {

constexpr int BATCH = 16;      // samples
constexpr int VECTOR = 64;     // bytes: four of each sample
constexpr int MOST_PIXELS = 4; // of a tile, by MOST_NEURONS
constexpr int MOST_NEURONS = 4;

struct ConvStep {
    const std::uint8_t *vectors;
    // Operands are at vectors pixels[o * n_places + p] + groups[g]; the largest of n_places sums is output o. Where
    // n_places is 1, the pixels of whole tiles are read and written behind the last.
    const std::int32_t *groups, *pixels;
    int n_groups, n_places, n_outputs;
    // Of the neurons computed: (groups, neurons of a tile, 4), tile by tile; starts; and numbers among `channels`.
    const std::int8_t *weights;
    const std::int32_t *start, *neurons;
    int n_neurons, channels;
    Requantise requantise;
    std::uint8_t *planes; // what leaves: (n_outputs, channels, BATCH)
};

struct ConvKernels {
    // Vectors of the dwords of BATCH images from byte `shift` on, each to its target; n_dwords is a multiple of 16.
    void (*interleave)(const std::uint8_t *const *images, int shift, int n_dwords, const std::int32_t *targets,
                       std::uint8_t *vectors);
    void (*convolve)(const ConvStep &step);
    // Rows of samples from planes: `stride` bytes, a multiple of 64, of which those in the masks are taken from the
    // planes and the others from the golden rows. Returns which rows differ from the golden ones.
    std::uint32_t (*rows_of)(const std::uint8_t *planes, const std::uint64_t *masks, int stride,
                             const std::uint8_t *const *golden, std::uint8_t *rows);
};

// Null where kernels of this level (see kernels_up_to) have no such loops.
const ConvKernels *conv_kernels(int level);
const ConvKernels *conv_kernels_avx512();

} // namespace codesign::engine

#endif
