// The simulator for every network: 64-bit integers, only samples that a fault changes computed again.
#ifndef CODESIGN_ENGINE_GENERIC_H_
#define CODESIGN_ENGINE_GENERIC_H_

#include "simulator.h"

namespace codesign::engine {

class GenericSimulator : public Simulator {
  public:
    // `inputs` has shape (n_samples, n_in).
    GenericSimulator(const Model &model, std::vector<Int> inputs, int n_samples);

    std::unique_ptr<Worker> worker() const override;
    const std::vector<Int> &golden() const override { return outputs_.back(); }

    const Model &model() const { return model_; }
    int n_samples() const { return n_samples_; }
    // Fault-free values of one sample that leave a layer, or enter the network.
    const Int *leaving(int layer, int sample) const;
    const Int *sums(int layer, int sample) const;

  private:
    const Model &model_;
    int n_samples_;
    std::vector<Int> inputs_;
    std::vector<std::vector<Int>> outputs_;
    std::vector<std::vector<Int>> sums_; // of layers that compute
};

} // namespace codesign::engine

#endif
