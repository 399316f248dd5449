// What every simulator of fault lists gives, and what a worker thread needs of it.
#ifndef CODESIGN_ENGINE_SIMULATOR_H_
#define CODESIGN_ENGINE_SIMULATOR_H_

#include <algorithm>
#include <memory>
#include <vector>

#include "draw.h"
#include "flags.h"
#include "model.h"
#include "ranks.h"

namespace codesign::engine {

// The samples whose logits may differ from the fault-free run, ascending: their largest logit, the first of equal
// ones, how many logits come before the one that is the largest without faults, and if asked for the logits
// (samples.size(), n_out). The flags are those of all samples.
struct Outcome {
    std::vector<std::int32_t> samples, tops, ranks;
    std::vector<Int> logits;
    Flags flags;

    void clear() {
        samples.clear();
        tops.clear();
        ranks.clear();
        logits.clear();
        flags.clear();
    }
};

inline std::int32_t top_of(const Int *logits, int n_out) {
    return std::int32_t(std::max_element(logits, logits + n_out) - logits);
}

inline std::vector<std::int32_t> tops_of(const std::vector<Int> &logits, int n_out) {
    std::vector<std::int32_t> tops;
    for (std::size_t k = 0; k < logits.size(); k += std::size_t(n_out))
        tops.push_back(top_of(logits.data() + k, n_out));
    return tops;
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
    // The largest of each sample, the first of equal ones.
    virtual const std::vector<std::int32_t> &golden_tops() const = 0;
    // 0 for the generic simulator, else the level of the kernels in use.
    virtual int level() const { return 0; }
};

} // namespace codesign::engine

#endif
