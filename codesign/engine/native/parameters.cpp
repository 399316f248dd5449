#include "parameters.h"

#include <algorithm>

#include "codes.h"

namespace codesign::engine {

namespace {

int index_of(const Layer &layer, const Fault &fault) {
    return fault.target == WEIGHT ? fault.position * layer.neurons + fault.neuron : fault.neuron;
}

} // namespace

void changed_parameters(const Layer &layer, const std::vector<const Fault *> &faults,
                        std::vector<ChangedParameter> &changed) {
    std::vector<const Fault *> stored;
    for (const Fault *fault : faults)
        if (fault->target == WEIGHT || fault->target == BIAS)
            stored.push_back(fault);
    const auto key = [&](const Fault *fault) { return std::make_pair(fault->target, index_of(layer, *fault)); };
    std::sort(stored.begin(), stored.end(), [&](const Fault *a, const Fault *b) { return key(a) < key(b); });
    for (std::size_t k = 0; k < stored.size();) {
        const auto word = key(stored[k]);
        Word masks[REPLICAS] = {};
        for (; k < stored.size() && key(stored[k]) == word; ++k)
            masks[stored[k]->replica] ^= Word(1) << stored[k]->bit;
        const Parameter &parameter = word.first == WEIGHT ? layer.weight : layer.bias;
        const Int before = parameter.raw[std::size_t(word.second)];
        const Int after = read_damaged(before, parameter.type, layer.protection.code, masks);
        if (after != before)
            changed.push_back({Target(word.first), word.second, before, after});
    }
}

} // namespace codesign::engine
