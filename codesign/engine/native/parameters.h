// A layer's stored parameters under the faults of a trial.
#ifndef CODESIGN_ENGINE_PARAMETERS_H_
#define CODESIGN_ENGINE_PARAMETERS_H_

#include <vector>

#include "model.h"

namespace codesign::engine {

// A parameter that is read as another value: of a weight `index` counts row by row (fan_in, neurons).
struct ChangedParameter {
    Target target;
    int index;
    Int before, after;
};

// Appends what the faults of one layer change; faults of other targets are passed over.
void changed_parameters(const Layer &layer, const std::vector<const Fault *> &faults,
                        std::vector<ChangedParameter> &changed);

} // namespace codesign::engine

#endif
