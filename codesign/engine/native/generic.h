// The simulator for every network: samples side by side in lanes of 32 or 64 bits, only what a fault changes computed
// again.
#ifndef CODESIGN_ENGINE_GENERIC_H_
#define CODESIGN_ENGINE_GENERIC_H_

#include "simulator.h"

namespace codesign::engine {

// `inputs` has shape (n_samples, n_in); `level` bounds the instruction sets as in kernels_up_to.
std::unique_ptr<Simulator> generic_simulator(const Model &model, const Int *inputs, int n_samples, int level);

} // namespace codesign::engine

#endif
