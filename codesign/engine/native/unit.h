// The arithmetic of layers that compute, in 64-bit integers: exact for every type that a network may have.
#ifndef CODESIGN_ENGINE_UNIT_H_
#define CODESIGN_ENGINE_UNIT_H_

#include "model.h"

namespace codesign::engine {

// One sample's values that enter a layer, and the parameters as they are read.
struct Operands {
    const Layer *layer;
    const Int *values;  // (n_in,)
    const Int *weights; // (fan_in, neurons)
    const Int *biases;  // (neurons,)
};

// What a neuron's sum at one pixel is made of: leaf 0 is the bias, leaves 1.. are the products, each cast.
class Leaves {
  public:
    Leaves(const Operands &operands, int pixel, int neuron);

    // Product k before its cast; zero behind the last, where a shared unit's last pass is filled up.
    Int product(int k) const {
        const Layer &layer = *operands_.layer;
        return k < layer.fan_in ? multiplied(input(k), operands_.weights[k * layer.neurons + neuron_]) : 0;
    }

    Int leaf(int index) const;

    // Sum of leaves, not brought into range.
    Int partial(Span span) const {
        Int sum = 0;
        for (int k = span.first; k < span.end && k <= operands_.layer->fan_in; ++k)
            sum = added(sum, leaf(k));
        return sum;
    }

  private:
    Int input(int k) const;

    const Operands &operands_;
    int pixel_, neuron_;
    Cast of_product_;
};

// Accumulators of all pixels of one sample: (pixels, neurons).
void sums_of(const Operands &operands, Int *sums);

} // namespace codesign::engine

#endif
