// What every simulator of fault lists gives, and what a worker thread needs of it.
#ifndef CODESIGN_ENGINE_SIMULATOR_H_
#define CODESIGN_ENGINE_SIMULATOR_H_

#include <algorithm>
#include <memory>
#include <vector>

#include "draw.h"
#include "model.h"

namespace codesign::engine {

// The samples whose logits may differ from the fault-free run, ascending: their largest logit, the first of equal
// ones, and if asked for the logits (samples.size(), n_out).
struct Outcome {
    std::vector<std::int32_t> samples, tops;
    std::vector<Int> logits;
};

inline std::int32_t top_of(const Int *logits, int n_out) {
    return std::int32_t(std::max_element(logits, logits + n_out) - logits);
}

// Simulates one fault list after another; each thread has its own.
class Worker {
  public:
    virtual ~Worker() = default;
    // The result is valid until the next call.
    virtual const Outcome &run(const Fault *faults, std::size_t n_faults, bool with_logits) = 0;
    // The same for the faults that a trial draws.
    virtual const Outcome &run_drawn(const FaultSpace &space, Int trial, bool with_logits) = 0;
};

class Simulator {
  public:
    virtual ~Simulator() = default;
    virtual std::unique_ptr<Worker> worker() const = 0;
    // Fault-free logits, (n_samples, n_out).
    virtual const std::vector<Int> &golden() const = 0;
    // 0 for the generic simulator, else the level of the kernels in use.
    virtual int level() const { return 0; }
};

} // namespace codesign::engine

#endif
