// Trials on threads, which take several at a time.
#ifndef CODESIGN_ENGINE_THREADS_H_
#define CODESIGN_ENGINE_THREADS_H_

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "fixed.h"

namespace codesign::engine {

// So many trials; `done` counts finished ones as they are finished, `cancel` is set by another thread to stop after the
// trials at hand.
struct Work {
    Int n_trials;
    int threads;
    Int *done;
    const std::int32_t *cancel;
};

// Runs every trial once. `Make` gives each thread a worker of its own, which is called with the trial's number.
template <class Make> class Threads {
  public:
    Threads(const Work &work, const Make &make) : work_(work), make_(make) {}

    // Throws what a thread throws.
    void run() {
        const int threads = int(std::clamp<Int>(work_.threads, 1, std::max<Int>(work_.n_trials, 1)));
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
            some_and_more();
        } catch (...) {
            const std::lock_guard<std::mutex> lock(mutex_);
            error_ = std::current_exception();
            stop_ = true;
        }
    }

    bool stopped() const { return stop_ || __atomic_load_n(work_.cancel, __ATOMIC_RELAXED); }

    void some_and_more() {
        auto worker = make_();
        for (Int size = 1;;) {
            const Int first = next_.fetch_add(size), end = std::min(first + size, work_.n_trials);
            const auto begin = Clock::now();
            Int trial = first;
            for (; trial < end && !stopped(); ++trial)
                worker(trial);
            if (trial > first)
                __atomic_fetch_add(work_.done, trial - first, __ATOMIC_RELAXED);
            if (trial < first + size)
                return;
            if (Clock::now() - begin < LEAST)
                size *= 2;
        }
    }

    using Clock = std::chrono::steady_clock;
    // Threads take so many trials at a time that they seldom meet: what they count lies side by side.
    static constexpr std::chrono::microseconds LEAST{200};

    const Work &work_;
    const Make &make_;
    std::atomic<Int> next_{0};
    std::atomic<bool> stop_{false};
    std::mutex mutex_;
    std::exception_ptr error_;
};

template <class Make> void on_threads(const Work &work, const Make &make) { Threads<Make>(work, make).run(); }

} // namespace codesign::engine

#endif
