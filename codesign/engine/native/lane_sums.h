// The accumulators of one layer for the samples of a tile: only those that a fault may change are computed.
#ifndef CODESIGN_ENGINE_LANE_SUMS_H_
#define CODESIGN_ENGINE_LANE_SUMS_H_

#include <vector>

#include "kernels.h"
#include "lane_plan.h"
#include "lane_tile.h"

namespace codesign::engine {

// Everything that is computed on lanes refers to these.
template <class T> struct LaneContext {
    const Model &model;
    const GoldenValues &golden;
    const std::vector<LanePlan<T>> &plans;
    const LaneKernels<T> &kernels;
    const Kernels &drawing;
    int most_lanes;
};

// A weight or a bias that faults change: `delta` is what that adds, at the accumulator's scale where sums may be
// regrouped.
template <class T> struct LaneParameter {
    static constexpr int BIAS = -1;
    int neuron, place;
    T delta;
    bool operator<(const LaneParameter &other) const { return neuron < other.neuron; }
};

// A layer's parameters as they are read; `changed` is sorted by neuron.
template <class T> struct LaneParameters {
    std::vector<LaneParameter<T>> changed;
    std::vector<T> by_neuron, starts;
};

// The values that enter a layer, its sources one behind the other.
template <class T> class Entering {
  public:
    Entering(LaneTile<T> &tile, const Layer &layer) : tile_(tile), layer_(layer) {}
    bool changed(int k) const { return tile_.changed(source(k), row(k)); }
    const T *fetch(int k) { return tile_.fetch(source(k), row(k)); }
    const T *delta(int k) { return tile_.delta(source(k), row(k)); }
    T at(int k, int lane) { return tile_.at(source(k), row(k), lane); }
    // n values of one source.
    void column(int k, int n, int lane, T *to) { tile_.column(source(k), row(k), n, lane, to); }
    bool any_changed() const {
        return std::any_of(layer_.sources.begin(), layer_.sources.end(),
                           [&](int source) { return !tile_.changed_rows(source).empty(); });
    }
    // Calls `body` with the number of each value that has changed.
    template <class Body> void each_changed(Body body) const {
        for (std::size_t n = 0; n < layer_.sources.size(); ++n)
            for (const int row : tile_.changed_rows(layer_.sources[n]))
                body(row + (n ? layer_.source_sizes[0] : 0));
    }

  private:
    bool second(int k) const { return k >= layer_.source_sizes[0]; }
    int source(int k) const { return layer_.sources[second(k)]; }
    int row(int k) const { return second(k) ? k - layer_.source_sizes[0] : k; }

    LaneTile<T> &tile_;
    const Layer &layer_;
};

template <class T> class LaneSums {
  public:
    explicit LaneSums(const LaneContext<T> &context);

    // Which of a pixel's operands is each input of a neuron: the number of the value that enters, or -1 in the padding.
    static int operand(const Layer &layer, int pixel, int neuron, int k);

    // All sums, fault-free.
    void compute_all(LaneTile<T> &tile, int index);
    // Those whose operands or parameters have changed.
    void compute_changed(LaneTile<T> &tile, int index, const LaneParameters<T> &parameters);
    // The sum of one row, changed or not.
    void compute(int row);

    const std::vector<int> &computed_rows() const { return list_; }
    bool computed(int row) const { return computed_[std::size_t(row)] == turn_; }
    T *row(int row) { return sums_.get() + std::size_t(row) * std::size_t(lanes_); }

  private:
    void begin(LaneTile<T> &tile, int index, const LaneParameters<T> *parameters);
    void mark(int first, int n);
    void count_changes();
    bool pixel_changed(int pixel) const;
    void of_pixel(int pixel);
    void of_neuron(int pixel, int neuron);
    void one_by_one(int pixel, int neuron);
    void change_parameters(int pixel);
    void regrouped(int pixel, int first, int n);
    int changed_operands(int pixel) const;
    template <class Body> void each_operand(int pixel, int neuron, Body body) const;
    void add_term(const T *values, int k, int first);
    bool regroups() const { return plan_->layer->exact(); }
    // Fault-free sums that may be updated.
    bool kept() const { return !everything_ && regroups() && !context_.golden.sums[std::size_t(index_)].empty(); }

    const LaneContext<T> &context_;
    const LanePlan<T> *plan_ = nullptr;
    const Layer *layer_ = nullptr;
    const LaneParameters<T> *parameters_ = nullptr;
    LaneTile<T> *tile_ = nullptr;
    int index_ = 0, lanes_ = 0;
    bool everything_ = false, entering_changed_ = false;
    std::unique_ptr<T[]> sums_;
    std::vector<std::uint32_t> computed_; // the turn when that was so
    std::uint32_t turn_ = 0;
    std::vector<int> list_;
    std::vector<int> changes_in_; // changed values of each input pixel
    std::vector<const T *> values_, weights_;
    std::vector<T> zeros_, ones_, other_;
};

} // namespace codesign::engine

#endif
