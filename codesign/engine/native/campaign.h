// Whole campaigns: trials on threads, counted against the labels and the fault-free run.
#ifndef CODESIGN_ENGINE_CAMPAIGN_H_
#define CODESIGN_ENGINE_CAMPAIGN_H_

#include "draw.h"
#include "interface.h"
#include "simulator.h"

namespace codesign::engine {

// Where the faults of a trial come from: drawn, or given as lists one behind the other.
struct FaultSource {
    const FaultSpace *space = nullptr;
    const Fault *faults = nullptr;
    const Int *offsets = nullptr; // of each list's first fault, and the end of the last
};

// What a campaign counts, by trial; `logits` (n_trials, n_samples, n_out) may be null.
struct Counts {
    codesign_counts *of_trials;
    Int *logits;
    std::uint8_t *finished;
};

struct Campaign {
    const Simulator *simulator;
    FaultSource source;
    Int first_trial, n_trials;
    const Int *labels; // (n_samples,)
    Int n_samples;
    int n_out, threads;
    Counts counts;
    Int *done;                  // counts finished trials as they are finished
    const std::int32_t *cancel; // another thread sets it to stop after the trials at hand
};

// Throws what a thread throws.
void run(const Campaign &campaign);

} // namespace codesign::engine

#endif
