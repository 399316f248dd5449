// Convolutions of whole images, sixteen samples at a time, where no sum and no register is struck.
#ifndef CODESIGN_ENGINE_PACKED_BATCHES_H_
#define CODESIGN_ENGINE_PACKED_BATCHES_H_

#include "block.h"

namespace codesign::engine {

// One thread's work on one block, with the max pooling behind it if that is asked for.
class Batches {
  public:
    Batches(const Block &block, const Kernels &kernels, const ConvKernels &conv_kernels);

    // Before runs: the parameters as they are read, and the neurons to compute; of the others fault-free bytes are
    // taken. `leaving` is the block behind which rows leave: this one or the pooling.
    void prepare(const PackedParameters &parameters, const std::vector<std::int32_t> &neurons, const Block &leaving);
    // Rows that leave, given BATCH images and fault-free rows; returns which of them differ.
    std::uint32_t run(const std::uint8_t *const *images, const std::uint8_t *const *golden, std::uint8_t *rows);

  private:
    void pack(const PackedParameters &parameters, std::size_t first, std::size_t n);

    const Block &block_;
    const Convolution &how_;
    const Kernels &kernels_;
    const ConvKernels &conv_kernels_;
    int stride_ = 0; // of rows that leave
    ConvStep step_{};
    Bytes images_, vectors_, planes_;
    Lines<std::int8_t> weights_;
    std::vector<std::int32_t> start_, neurons_;
    std::vector<std::uint64_t> masks_;
};

} // namespace codesign::engine

#endif
