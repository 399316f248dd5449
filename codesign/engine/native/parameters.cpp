#include "parameters.h"

#include <algorithm>
#include <tuple>

#include "codes.h"

namespace codesign::engine {

std::uint8_t changed_parameters(const Layer &layer, const std::vector<const Fault *> &faults,
                                std::vector<ChangedParameter> &changed) {
    std::vector<const Fault *> stored;
    for (const Fault *fault : faults)
        if (fault->target == WEIGHT || fault->target == BIAS)
            stored.push_back(fault);
    const auto key = [](const Fault *fault) {
        return std::make_tuple(fault->target, fault->target == WEIGHT ? fault->position : 0, fault->neuron);
    };
    std::sort(stored.begin(), stored.end(), [&](const Fault *a, const Fault *b) { return key(a) < key(b); });
    std::uint8_t flags = 0;
    for (std::size_t k = 0; k < stored.size();) {
        const auto word = key(stored[k]);
        Word masks[REPLICAS] = {};
        for (; k < stored.size() && key(stored[k]) == word; ++k)
            masks[stored[k]->replica] ^= Word(1) << stored[k]->bit;
        flags |= append_changed(layer, Target(std::get<0>(word)), std::get<1>(word), std::get<2>(word), masks, changed);
    }
    return flags;
}

std::uint8_t append_changed(const Layer &layer, Target target, int operand, int neuron, const Word masks[REPLICAS],
                            std::vector<ChangedParameter> &changed) {
    ChangedParameter found{target, operand, neuron, 0, 0};
    const Parameter &parameter = target == WEIGHT ? layer.weight : layer.bias;
    found.before = parameter.raw[found.index(layer.neurons)];
    const ReadWord read = read_damaged(found.before, parameter.type, layer.protection.code, masks);
    found.after = read.value;
    if (found.after != found.before)
        changed.push_back(found);
    return read.flags;
}

} // namespace codesign::engine
