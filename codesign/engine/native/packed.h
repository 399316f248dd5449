// The fast simulator: operands of 8 bits, sums of 32, and only the samples, pixels and neurons computed again that a
// fault changes. It takes chains of dense layers, convolutions, elementwise layers and max pooling; see takes().
#ifndef CODESIGN_ENGINE_PACKED_H_
#define CODESIGN_ENGINE_PACKED_H_

#include "block.h"
#include "simulator.h"

namespace codesign::engine {

class PackedSimulator : public Simulator {
  public:
    // Whether all of a network fits: a chain, types of 8 bits into every sum, sums that may be regrouped.
    static bool takes(const Model &model);

    PackedSimulator(const Model &model, const std::vector<Int> &inputs, int n_samples, int level);

    std::unique_ptr<Worker> worker() const override;
    const std::vector<Int> &golden() const override { return golden_; }
    const std::vector<std::int32_t> &golden_tops() const override { return golden_tops_; }
    int level() const override { return level_; }

    const Model &model() const { return model_; }
    int n_samples() const { return n_samples_; }
    const std::vector<Block> &blocks() const { return blocks_; }
    const Kernels &kernels() const { return *kernels_; }
    const ConvKernels *conv_kernels() const { return conv_kernels_; } // null: there are none
    // Fault-free bytes of a sample that enter a block.
    const std::uint8_t *entering(std::size_t block, int sample) const;

  private:
    void compute(std::size_t block);

    const Model &model_;
    int n_samples_, level_;
    const Kernels *kernels_;
    const ConvKernels *conv_kernels_;
    Bytes inputs_;
    std::vector<Block> blocks_;
    std::vector<Int> golden_;
    std::vector<std::int32_t> golden_tops_;
};

} // namespace codesign::engine

#endif
