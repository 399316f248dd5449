// Layers that make each value of one value: they can follow on what another layer makes without storing it in between.
#ifndef CODESIGN_ENGINE_LANE_ELEMENTWISE_H_
#define CODESIGN_ENGINE_LANE_ELEMENTWISE_H_

#include <vector>

#include "lane_sums.h"

namespace codesign::engine {

template <class T> class LaneElementwise {
  public:
    explicit LaneElementwise(const LaneContext<T> &context);

    // Whether layer `index` has one user, which is such a layer.
    bool followed(int index) const { return followed_[std::size_t(index)]; }
    // What layer `index` makes of n rows from `first` up, fault-free; `to` may be the rows.
    void rows(int index, int first, int n, const T *values, T *to, int lanes);
    Int value(int index, int row, Int value) const;

  private:
    void normalised(const LanePlan<T> &plan, int neuron, const T *values, T *to, int lanes);

    const LaneContext<T> &context_;
    std::vector<bool> followed_;
    std::vector<T> sums_;
};

} // namespace codesign::engine

#endif
