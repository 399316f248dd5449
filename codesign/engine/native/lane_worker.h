// One thread's trials on lanes.
#ifndef CODESIGN_ENGINE_LANE_WORKER_H_
#define CODESIGN_ENGINE_LANE_WORKER_H_

#include <vector>

#include "lane_passive.h"
#include "lane_strikes.h"
#include "parameters.h"
#include "simulator.h"

namespace codesign::engine {

template <class T> class LaneWorker : public Worker {
  public:
    explicit LaneWorker(const LaneContext<T> &context);

    const Outcome &run(const Fault *faults, std::size_t n_faults, bool with_logits) override;
    const Outcome &run_drawn(const FaultSpace &space, Int trial, bool with_logits) override;

    // Computes the fault-free values of samples in a row, and writes them to `golden`.
    void prime(GoldenValues &golden, int first, int n);

  private:
    // The faults of a layer, sorted into what they do; transient ones by sample.
    struct Struck {
        std::vector<const Fault *> stored, persistent, transient;
        std::size_t next = 0; // of the transient ones, the first of the tiles to come
        LaneParameters<T> parameters;
        std::vector<ChangedParameter> changed;
        bool any() const { return !persistent.empty() || !transient.empty() || !parameters.changed.empty(); }
    };

    void sort_faults(const Fault *faults, std::size_t n_faults);
    void change_parameters(Struck &struck, int layer);
    void restore_parameters();
    bool strikes_everywhere() const;
    void run_in_a_row();
    void run_samples();
    void run_tile(bool with_logits);
    void run_layer(int index);
    int last_followed(int index) const;
    void leave_sums(int index);
    void take_faults(int index);
    void append(const Layer &layer, const Fault &fault, int lane);
    void tell(bool with_logits);

    const LaneContext<T> &context_;
    LaneTile<T> tile_;
    LaneSums<T> sums_;
    LaneStrikes<T> strikes_;
    LaneElementwise<T> elementwise_;
    LanePassive<T> passive_;
    std::vector<Fault> drawn_;
    std::vector<Struck> struck_;
    std::vector<std::int32_t> samples_;
    bool with_logits_ = false;
    // Of the layer at hand.
    std::vector<Use> uses_;
    std::vector<StruckWord> voters_, registers_;
    // Of the last layer.
    std::vector<T> largest_, tops_, differs_;
    std::vector<const T *> logits_;
    Outcome outcome_;
};

} // namespace codesign::engine

#endif
