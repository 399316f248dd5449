// A layer's stored parameters under the faults of a trial.
#ifndef CODESIGN_ENGINE_PARAMETERS_H_
#define CODESIGN_ENGINE_PARAMETERS_H_

#include <vector>

#include "model.h"

namespace codesign::engine {

// A parameter that is read as another value; a bias has operand 0.
struct ChangedParameter {
    Target target;
    std::int32_t operand, neuron;
    Int before, after;

    // Of weights row by row, (fan_in, neurons).
    std::size_t index(int neurons) const { return std::size_t(operand) * std::size_t(neurons) + std::size_t(neuron); }
};

// Appends what the faults of one layer change; faults of other targets are passed over. Returns the flags raised.
std::uint8_t changed_parameters(const Layer &layer, const std::vector<const Fault *> &faults,
                                std::vector<ChangedParameter> &changed);

// Appends one parameter, of whose stored copies the bits of `masks` are inverted, if it is read as another value.
// Returns the flags that reading it raises.
std::uint8_t append_changed(const Layer &layer, Target target, int operand, int neuron, const Word masks[REPLICAS],
                            std::vector<ChangedParameter> &changed);

} // namespace codesign::engine

#endif
