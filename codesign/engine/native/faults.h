// A fault list as Python writes it: codesign.faults.FAULT, eight 32-bit integers a row.
#ifndef CODESIGN_ENGINE_FAULTS_H_
#define CODESIGN_ENGINE_FAULTS_H_

#include <cstdint>

namespace codesign::engine {

enum Target : std::int32_t { WEIGHT, BIAS, PRODUCT, ACCUMULATOR, ACTIVATION, VOTER };

constexpr std::int32_t ALL_SAMPLES = -1;
constexpr std::int32_t ALL_STEPS = -1;
constexpr std::int32_t UNIT = -1; // as a neuron: the shared unit of a layer that recomputes
constexpr int REPLICAS = 3;

struct Fault {
    std::int32_t layer, target, neuron, position, replica, bit, sample, step;
};

} // namespace codesign::engine

#endif
