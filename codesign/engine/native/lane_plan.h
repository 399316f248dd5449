// What the layers of a network need to be computed on lanes (lanes.h), worked out once.
#ifndef CODESIGN_ENGINE_LANE_PLAN_H_
#define CODESIGN_ENGINE_LANE_PLAN_H_

#include <vector>

#include "lanes.h"
#include "model.h"

namespace codesign::engine {

// Whether lanes of 32 bits give the exact integers of every layer.
bool fits_32_bits(const Model &model);

template <class T> struct LanePlan {
    explicit LanePlan(const Layer &layer);

    const Layer *layer;
    LaneCast<T> leave;              // of what has been computed to the result
    std::vector<LaneCast<T>> enter; // of each source's values, where the layer casts them first
    LaneCast<T> into_sum;           // brings a sum into the accumulator's range
    LaneCast<T> product;            // of a product to the accumulator

    // Layers with weights. Where sums may be regrouped, `weights` are at the accumulator's scale.
    int shift = 0;
    std::vector<T> weights;   // (fan_in, neurons)
    std::vector<T> by_neuron; // (neurons, fan_in), as they are stored
    std::vector<T> starts;    // (neurons,), the biases as they enter the accumulator

    // What an activation makes of each value from -table_offset up, where there are not too many.
    std::vector<T> table;
    T table_offset = 0;

    T scaled(Int weight) const { return T(shift < 64 ? shifted_left(weight, shift) : 0); }
    T start(Int bias) const { return T(Cast(layer->bias.type, layer->accumulator)(bias)); }

  private:
    void take_parameters();
    void tabulate();
};

} // namespace codesign::engine

#endif
