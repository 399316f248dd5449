#include "campaign.h"

#include <algorithm>
#include <memory>

#include "threads.h"

namespace codesign::engine {

namespace {

class Runner {
  public:
    explicit Runner(const Campaign &campaign) : campaign_(campaign), golden_tops_(campaign.simulator->golden_tops()) {
        for (Int sample = 0; sample < campaign.n_samples; ++sample)
            golden_correct_ += golden_tops_[std::size_t(sample)] == campaign.labels[sample];
    }

    void run() {
        const Work work{campaign_.n_trials, campaign_.threads, campaign_.done, campaign_.cancel};
        on_threads(work, [this] {
            std::shared_ptr<Worker> worker = campaign_.simulator->worker();
            return [this, worker](Int trial) { one(*worker, trial); };
        });
    }

  private:
    bool with_logits() const { return campaign_.counts.logits != nullptr; }

    void one(Worker &worker, Int trial) {
        const FaultSource &source = campaign_.source;
        if (source.space) {
            count(trial, worker.run_drawn(*source.space, campaign_.first_trial + trial, with_logits()));
        } else {
            const Int begin = source.offsets[trial];
            const std::size_t size = std::size_t(source.offsets[trial + 1] - begin);
            count(trial, worker.run(source.faults + begin, size, with_logits()));
        }
    }

    void count(Int trial, const Outcome &outcome) {
        codesign_counts counts = flagged(outcome.flags);
        counts.correct = golden_correct_;
        counts.sdc1 = outcome.answers.n;
        for (const Answer *one = outcome.answers.changed, *end = one + outcome.answers.n; one != end; ++one) {
            const Int before = golden_tops_[std::size_t(one->sample)], label = campaign_.labels[one->sample];
            const std::uint8_t flags = outcome.flags.of(one->sample);
            counts.correct += int(one->top == label) - int(before == label);
            counts.sdc5 += one->rank >= FIRST;
            counts.silent += !(flags & DETECTED);
            counts.corrected -= flags == CORRECTED;
        }
        campaign_.counts.of_trials[trial] = counts;
        if (with_logits())
            keep(trial, outcome);
        campaign_.counts.finished[trial] = 1;
    }

    // Samples with a flag, as if all top classes were those of the fault-free run.
    codesign_counts flagged(const Flags &flags) const {
        codesign_counts counts{};
        for (const std::int32_t sample : flags.raised()) {
            counts.detected += (flags.of(sample) & DETECTED) != 0;
            counts.corrected += flags.of(sample) == CORRECTED;
        }
        const std::int32_t others = std::int32_t(campaign_.n_samples) - std::int32_t(flags.raised().size());
        counts.detected += flags.everywhere() & DETECTED ? others : 0;
        counts.corrected += flags.everywhere() == CORRECTED ? others : 0;
        return counts;
    }

    void keep(Int trial, const Outcome &outcome) {
        const std::vector<Int> &golden = campaign_.simulator->golden();
        Int *logits = campaign_.counts.logits + trial * Int(golden.size());
        std::copy(golden.begin(), golden.end(), logits);
        const Int *row = outcome.logits.data();
        for (const std::int32_t sample : outcome.samples) {
            std::copy_n(row, campaign_.n_out, logits + Int(sample) * campaign_.n_out);
            row += campaign_.n_out;
        }
    }

    // Of the classes that the fault-free one has to be among, for SDC-5.
    static constexpr std::int32_t FIRST = 5;

    const Campaign &campaign_;
    const std::vector<std::int32_t> &golden_tops_;
    std::int32_t golden_correct_ = 0;
};

} // namespace

void run(const Campaign &campaign) { Runner(campaign).run(); }

} // namespace codesign::engine
