// The draw of a trial's faults: bit for bit that of codesign/faults.py, whose segments it is given.
#ifndef CODESIGN_ENGINE_DRAW_H_
#define CODESIGN_ENGINE_DRAW_H_

#include <cstddef>
#include <vector>

#include "faults.h"
#include "fixed.h"
#include "kernels.h"
#include "philox.h"

namespace codesign::engine {

// Fault bits of one layer, target and replica, numbered sample by sample, step by step, neuron by neuron.
// `bits[j]` bits from `lowest[j]` up exist at each of `positions` places of neuron j.
struct Segment {
    std::int32_t layer, target, replica;
    bool of_unit;
    Int samples, steps, positions; // steps is 0 for what is struck for the whole trial
    std::vector<Int> lowest, bits;
    std::vector<Int> starts; // first bit number of each neuron within a step, and their total
    Int size;
    bool uniform;    // all neurons have as many bits, from the same one up
    Decoder decoder; // if they have

    // Number of the random stream; unaffected by the plan, so that plans share their draws.
    std::uint64_t stream() const {
        return std::uint64_t(target) << 32 | std::uint64_t(layer) << 8 | std::uint64_t(replica);
    }
    Fault decode(Int number) const;
};

// Numbers below a bound, each present with the same probability, ascending, by geometric gaps.
class Bernoulli {
  public:
    // `scale` is 1 / ln(1 - probability).
    Bernoulli(const Philox &generator, double probability, double scale, Int bound, const Kernels &kernels)
        : kernels_(kernels), generator_(generator), probability_(probability), scale_(scale), bound_(bound),
          chunk_(double(bound) * probability < FEW ? LEAST : MOST) {}

    static constexpr int MOST = 64;
    // The next numbers, up to MOST of them; none after the last.
    int next(Int *numbers);

  private:
    const Kernels &kernels_;
    Philox generator_;
    double probability_, scale_;
    Int bound_, last_ = -1;
    int chunk_; // short draws should not pay for long ones

    static constexpr int LEAST = 8; // a vector
    static constexpr double FEW = 4.0;
};

// All bits that a fault model can strike, and the draws from them.
class FaultSpace {
  public:
    // Throws std::invalid_argument for anything that Python's writer would not write.
    static FaultSpace read(const Int *words, std::size_t n_words);

    // Appends the faults of one trial.
    void draw(Int trial, std::vector<Fault> &faults, const Kernels &kernels) const;
    void draw_segment(const Segment &segment, Int trial, std::vector<Fault> &faults, const Kernels &kernels) const;

    const std::vector<Segment> &segments() const { return segments_; }
    bool by_rate() const { return n_flips_ == 0; }
    // The draw from one segment, where a rate is given.
    Bernoulli bernoulli(const Segment &segment, Int trial, const Kernels &kernels) const;

  private:
    void draw_exactly(Int trial, std::vector<Fault> &faults) const;

    Int seed_ = 0, n_flips_ = 0; // n_flips is 0 where a rate is given
    double ber_ = 0.0, scale_ = 0.0;
    std::vector<Segment> segments_;
};

} // namespace codesign::engine

#endif
