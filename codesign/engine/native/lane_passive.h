// Layers that compute no sums, on lanes: only rows that a fault may change.
#ifndef CODESIGN_ENGINE_LANE_PASSIVE_H_
#define CODESIGN_ENGINE_LANE_PASSIVE_H_

#include <vector>

#include "lane_elementwise.h"

namespace codesign::engine {

template <class T> class LanePassive {
  public:
    LanePassive(const LaneContext<T> &context, LaneElementwise<T> &elementwise);

    // Calls `leave` with every row that has been written, for all rows or those whose values have changed.
    template <class Leave> void run(LaneTile<T> &tile, int index, bool everything, Leave leave) {
        begin(tile, index, everything);
        if (everything || Entering<T>(tile, *layer_).any_changed())
            write();
        for (const int row : written_)
            leave(row);
    }

  private:
    void begin(LaneTile<T> &tile, int index, bool everything);
    void write();
    void elementwise(int row);
    void pooled();
    void pool(int pixel, int channel);
    void wired();
    void of_samples();
    T *target(int row);

    const LaneContext<T> &context_;
    LaneElementwise<T> &elementwise_;
    const LanePlan<T> *plan_ = nullptr;
    const Layer *layer_ = nullptr;
    LaneTile<T> *tile_ = nullptr;
    int index_ = 0;
    bool everything_ = false;
    std::vector<int> written_;
    std::vector<bool> touched_; // of lanes or pixels
    std::vector<T> sums_, entered_;
    std::vector<Int> entering_, leaving_;
};

} // namespace codesign::engine

#endif
