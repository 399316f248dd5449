#include "campaign.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

namespace codesign::engine {

namespace {

class Runner {
  public:
    explicit Runner(const Campaign &campaign) : campaign_(campaign), golden_tops_(std::size_t(campaign.n_samples)) {
        const std::vector<Int> &golden = campaign.simulator->golden();
        for (Int sample = 0; sample < campaign.n_samples; ++sample) {
            const int top = top_of(golden.data() + sample * campaign.n_out, campaign.n_out);
            golden_tops_[std::size_t(sample)] = top;
            golden_correct_ += top == campaign.labels[sample];
        }
    }

    void on_threads() {
        const int threads = int(std::clamp<Int>(campaign_.threads, 1, std::max<Int>(campaign_.n_trials, 1)));
        std::vector<std::thread> others;
        for (int k = 1; k < threads; ++k)
            others.emplace_back([this] { guarded(); });
        guarded();
        for (std::thread &other : others)
            other.join();
        if (error_)
            std::rethrow_exception(error_);
    }

  private:
    void guarded() {
        try {
            work();
        } catch (...) {
            const std::lock_guard<std::mutex> lock(mutex_);
            error_ = std::current_exception();
            stop_ = true;
        }
    }

    bool with_logits() const { return campaign_.counts.logits != nullptr; }
    bool stopped() const { return stop_ || __atomic_load_n(campaign_.cancel, __ATOMIC_RELAXED); }

    void work() {
        const std::unique_ptr<Worker> worker = campaign_.simulator->worker();
        for (;;) {
            const Int first = next_.fetch_add(CHUNK);
            const Int end = std::min(first + CHUNK, campaign_.n_trials);
            for (Int trial = first; trial < end; ++trial) {
                if (stopped())
                    return;
                one(*worker, trial);
            }
            if (end <= first || end == campaign_.n_trials)
                return;
        }
    }

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
        Int correct = golden_correct_, sdc1 = 0;
        for (std::size_t k = 0; k < outcome.samples.size(); ++k) {
            const std::size_t sample = std::size_t(outcome.samples[k]);
            const int before = golden_tops_[sample], now = outcome.tops[k];
            if (now == before)
                continue;
            correct += Int(now == campaign_.labels[sample]) - Int(before == campaign_.labels[sample]);
            ++sdc1;
        }
        campaign_.counts.correct[trial] = correct;
        campaign_.counts.sdc1[trial] = sdc1;
        if (with_logits())
            keep(trial, outcome);
        campaign_.counts.finished[trial] = 1;
        __atomic_fetch_add(campaign_.done, 1, __ATOMIC_RELAXED);
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

    static constexpr Int CHUNK = 4;

    const Campaign &campaign_;
    std::vector<int> golden_tops_;
    Int golden_correct_ = 0;
    std::atomic<Int> next_{0};
    std::atomic<bool> stop_{false};
    std::mutex mutex_;
    std::exception_ptr error_;
};

} // namespace

void run(const Campaign &campaign) { Runner(campaign).on_threads(); }

} // namespace codesign::engine
