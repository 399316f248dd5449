// Layers that compute no sums: the twin of codesign/network/passive.py.
#ifndef CODESIGN_ENGINE_PASSIVE_H_
#define CODESIGN_ENGINE_PASSIVE_H_

#include "model.h"

namespace codesign::engine {

// A layer that makes each of its values of one value: a ReLU, or another activation.
bool is_elementwise(const Layer &layer);
Int activated(const Layer &layer, Int value);

// What a layer makes of one sample's values: (n_in,) -> (n_out,).
void passed(const Layer &layer, const Int *values, Int *leaving);

} // namespace codesign::engine

#endif
