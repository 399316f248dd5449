// Layers that compute no sums, a value or a sample at a time: with lane_passive.h the twin of
// codesign/network/passive.py.
#ifndef CODESIGN_ENGINE_PASSIVE_H_
#define CODESIGN_ENGINE_PASSIVE_H_

#include "model.h"

namespace codesign::engine {

// A layer that makes each of its values of one value: a ReLU, or another activation.
bool is_elementwise(const Layer &layer);
Int activated(const Layer &layer, Int value);

// What a softmax or an argmax makes of one sample's values: (n_in,) -> (n_out,).
void of_sample(const Layer &layer, const Int *values, Int *leaving);

} // namespace codesign::engine

#endif
