// What every simulator of fault lists gives, and what a worker thread needs of it.
#ifndef CODESIGN_ENGINE_SIMULATOR_H_
#define CODESIGN_ENGINE_SIMULATOR_H_

#include <algorithm>
#include <memory>
#include <vector>

#include "answers.h"
#include "draw.h"
#include "flags.h"
#include "model.h"

namespace codesign::engine {

// Changed answers and flags of all samples. If logits are asked for, then also the samples whose logits may differ from
// the fault-free run, ascending, and those, (samples.size(), n_out).
struct Outcome {
    // `golden` are the fault-free answers of all samples.
    Outcome(int n_samples, const std::int32_t *golden)
        : flags(n_samples), room_(std::size_t(n_samples)), answers{golden, room_.data(), 0} {}
    Outcome(const Outcome &) = delete;
    Outcome &operator=(const Outcome &) = delete;

    void clear() {
        samples.clear();
        logits.clear();
        flags.clear();
        answers.n = 0;
    }

    std::vector<std::int32_t> samples;
    std::vector<Int> logits;
    Flags flags;

  private:
    std::vector<Answer> room_;

  public:
    Answers answers;
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
