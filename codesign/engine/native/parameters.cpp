#include "parameters.h"

#include <algorithm>
#include <tuple>

#include "codes.h"

namespace codesign::engine {

void changed_parameters(const Layer &layer, const std::vector<const Fault *> &faults,
                        std::vector<ChangedParameter> &changed) {
    std::vector<const Fault *> stored;
    for (const Fault *fault : faults)
        if (fault->target == WEIGHT || fault->target == BIAS)
            stored.push_back(fault);
    const auto key = [](const Fault *fault) {
        return std::make_tuple(fault->target, fault->target == WEIGHT ? fault->position : 0, fault->neuron);
    };
    std::sort(stored.begin(), stored.end(), [&](const Fault *a, const Fault *b) { return key(a) < key(b); });
    for (std::size_t k = 0; k < stored.size();) {
        const auto word = key(stored[k]);
        Word masks[REPLICAS] = {};
        for (; k < stored.size() && key(stored[k]) == word; ++k)
            masks[stored[k]->replica] ^= Word(1) << stored[k]->bit;
        append_changed(layer, Target(std::get<0>(word)), std::get<1>(word), std::get<2>(word), masks, changed);
    }
}

void append_changed(const Layer &layer, Target target, int operand, int neuron, const Word masks[REPLICAS],
                    std::vector<ChangedParameter> &changed) {
    ChangedParameter found{target, operand, neuron, 0, 0};
    const Parameter &parameter = target == WEIGHT ? layer.weight : layer.bias;
    found.before = parameter.raw[found.index(layer.neurons)];
    found.after = read_damaged(found.before, parameter.type, layer.protection.code, masks);
    if (found.after != found.before)
        changed.push_back(found);
}

} // namespace codesign::engine
