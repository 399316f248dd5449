// Faults inside neurons and in their voters, lane by lane.
#ifndef CODESIGN_ENGINE_LANE_STRIKES_H_
#define CODESIGN_ENGINE_LANE_STRIKES_H_

#include <vector>

#include "lane_sums.h"
#include "strikes.h"

namespace codesign::engine {

// A struck word: a row, a lane, and the bits that are inverted.
struct StruckWord {
    std::int32_t row, lane;
    Word mask;
    bool same_word(const StruckWord &other) const { return row == other.row && lane == other.lane; }
    bool operator<(const StruckWord &other) const { return lane != other.lane ? lane < other.lane : row < other.row; }
};

// Appends the words of a lane that a fault of a voter or register strikes.
void append_words(const Layer &layer, const Fault &fault, int lane, std::vector<StruckWord> &words);
// Sorts words and makes one of those that are the same.
void merge_words(std::vector<StruckWord> &words);

template <class T> class LaneStrikes {
  public:
    LaneStrikes(const LaneContext<T> &context, LaneSums<T> &sums) : context_(context), sums_(sums) {}

    // Strikes sums of the layer that `sums` is at. Sums of rows that are not computed become `singles`.
    // `uses` are those of the tile, their rows counted lane by lane; `voters` are merged. Copies that differ raise
    // flags.
    void strike(LaneTile<T> &tile, int index, const LaneParameters<T> &parameters, std::vector<Use> &uses,
                const std::vector<StruckWord> &voters, Flags &flags);
    // A struck sum of a row that is not computed.
    struct Single {
        std::int32_t row, lane;
        Int sum;
    };
    const std::vector<Single> &singles() const { return singles_; }

  private:
    void strike_row(const Use *first, const Use *last, Flags &flags);
    void gather(const Use *first, const Use *last, int pixel, int lane);
    bool known(int row) const;
    Int known_sum(int row, int lane);
    void put(int row, int lane, Int before, Int after);
    void vote(const std::vector<StruckWord> &voters);

    const LaneContext<T> &context_;
    LaneSums<T> &sums_;
    LaneTile<T> *tile_ = nullptr;
    const LanePlan<T> *plan_ = nullptr;
    const LaneParameters<T> *parameters_ = nullptr;
    int index_ = 0;
    Striker striker_;
    std::vector<T> operands_;
    std::vector<Single> singles_;
};

} // namespace codesign::engine

#endif
