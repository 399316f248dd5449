// The values of some samples while a trial runs: those that a fault changes, and the fault-free ones asked for.
#ifndef CODESIGN_ENGINE_LANE_TILE_H_
#define CODESIGN_ENGINE_LANE_TILE_H_

#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

#include "lanes.h"
#include "model.h"
#include "tensor.h"

namespace codesign::engine {

// What is kept of the fault-free run: inputs, what leaves each layer, sums (empty where they are not kept), and each
// sample's largest logit.
struct GoldenValues {
    int n_samples = 0;
    Tensor inputs;
    std::vector<Tensor> values, sums;
    std::vector<std::int32_t> tops;
    const Tensor &leaving(int layer) const { return layer == FROM_INPUT ? inputs : values[std::size_t(layer)]; }
};

// A layer is given by its index, FROM_INPUT included; a row is one of its values, for all lanes.
template <class T> class LaneTile {
  public:
    LaneTile(const Model &model, const GoldenValues &golden, const LaneKernels<T> &kernels, int most_lanes)
        : golden_(golden), kernels_(kernels) {
        values_.emplace_back(model.n_in, most_lanes);
        for (const Layer &layer : model.layers)
            values_.emplace_back(layer.n_out, most_lanes);
    }

    // Takes n samples in a row. Lanes behind the last repeat fault-free samples.
    void take(int first, int n) {
        begin(n);
        in_a_row_ = true;
        samples_.resize(std::size_t(lanes_));
        std::iota(samples_.begin(), samples_.end(), first);
    }

    void take(const std::int32_t *samples, int n) {
        begin(n);
        in_a_row_ = false;
        samples_.assign(samples, samples + n);
        samples_.resize(std::size_t(lanes_), samples[n - 1]);
    }

    int size() const { return size_; }
    int lanes() const { return lanes_; }
    int sample(int lane) const { return samples_[std::size_t(lane)]; }
    // Of a sample that the tile has.
    int lane(int sample) const {
        if (in_a_row_)
            return sample - samples_[0];
        return int(std::lower_bound(samples_.begin(), samples_.begin() + size_, sample) - samples_.begin());
    }

    // The values of a row as they are.
    const T *fetch(int layer, int row) {
        Values &of = values(layer);
        T *found = of.row(row, lanes_);
        if (of.fetched[std::size_t(row)] != turn_) {
            unpack(golden_.leaving(layer), row, found);
            of.fetched[std::size_t(row)] = turn_;
        }
        return found;
    }

    T at(int layer, int row, int lane) {
        Values &of = values(layer);
        if (of.fetched[std::size_t(row)] == turn_)
            return of.row(row, lanes_)[lane];
        return T(golden_.leaving(layer).at(row, sample(lane)));
    }

    // n rows of one lane.
    void column(int layer, int first, int n, int lane, T *to) {
        Values &of = values(layer);
        const Tensor &golden = golden_.leaving(layer);
        const std::size_t from = golden.index(first, sample(lane));
        const std::ptrdiff_t stride = golden.block();
        golden.visit([&](const auto *stored) {
            for (int k = 0; k < n; ++k)
                to[k] = T(stored[std::ptrdiff_t(from) + k * stride]);
        });
        if (of.list.empty())
            return;
        for (int k = 0; k < n; ++k)
            if (of.changed[std::size_t(first + k)] == turn_)
                to[k] = of.row(first + k, lanes_)[lane];
    }

    bool changed(int layer, int row) const { return values(layer).changed[std::size_t(row)] == turn_; }
    const T *delta(int layer, int row) { return values(layer).delta(row, lanes_); }
    const std::vector<int> &changed_rows(int layer) const { return values(layer).list; }

    // Where a row's values are written, before a call of `settle`.
    T *row(int layer, int row) { return values(layer).row(row, lanes_); }

    // Marks those of n rows that have been written as changed that are.
    void settle(int layer, int first, int n = 1) {
        Values &of = values(layer);
        unpack(golden_.leaving(layer), first, of.delta(first, lanes_), n);
        for (int row = first; row < first + n; ++row) {
            of.fetched[std::size_t(row)] = turn_;
            if (kernels_.differ(of.row(row, lanes_), of.delta(row, lanes_), lanes_))
                mark(of, row);
        }
    }

    // Changes a single value.
    void set(int layer, int row, int lane, T value) {
        const T golden = T(golden_.leaving(layer).at(row, sample(lane)));
        Values &of = values(layer);
        if (of.changed[std::size_t(row)] != turn_) {
            if (value == golden)
                return;
            fetch(layer, row);
            std::fill_n(of.delta(row, lanes_), lanes_, 0);
            mark(of, row);
        }
        of.row(row, lanes_)[lane] = value;
        of.delta(row, lanes_)[lane] = T(Word(value) - Word(golden));
    }

    // n rows that are kept one behind the other.
    void unpack(const Tensor &from, int first, T *to, int n) const {
        if (in_a_row_ && lanes_ == from.block())
            return kernels_.unpack(from.address(from.index(first, samples_[0])), from.as(), to, n * lanes_);
        for (int k = 0; k < n; ++k)
            unpack(from, first + k, to + std::ptrdiff_t(k) * lanes_);
    }

    // Samples that are side by side are copied, others picked one by one.
    void unpack(const Tensor &from, int row, T *to) const {
        if (!in_a_row_)
            return from.visit([&](const auto *values) {
                for (int lane = 0; lane < lanes_; ++lane)
                    to[lane] = T(values[from.index(row, samples_[std::size_t(lane)])]);
            });
        each_piece(from, [&](int lane, int n) {
            kernels_.unpack(from.address(from.index(row, samples_[std::size_t(lane)])), from.as(), to + lane, n);
        });
    }

    // The other way round, for samples in a row.
    void pack(const T *from, Tensor &to, int row) const {
        each_piece(to, [&](int lane, int n) {
            kernels_.pack(from + lane, to.as(), to.address(to.index(row, samples_[std::size_t(lane)])), n);
        });
    }

  private:
    struct Values {
        Values(int rows, int most_lanes)
            : fetched(std::size_t(rows), 0), changed(std::size_t(rows), 0),
              numbers(new T[2 * std::size_t(rows) * std::size_t(most_lanes)]), n_rows(rows) {}
        T *row(int number, int lanes) { return numbers.get() + std::size_t(number) * std::size_t(lanes); }
        T *delta(int number, int lanes) { return row(n_rows + number, lanes); }

        std::vector<std::uint32_t> fetched, changed; // the turn when that was so
        std::vector<int> list;                       // rows that are changed
        std::unique_ptr<T[]> numbers;                // values, then their differences from the fault-free ones
        int n_rows;
    };

    Values &values(int layer) { return values_[std::size_t(layer + 1)]; }
    const Values &values(int layer) const { return values_[std::size_t(layer + 1)]; }

    void mark(Values &of, int row) const {
        of.changed[std::size_t(row)] = turn_;
        of.list.push_back(row);
    }

    void begin(int n) {
        size_ = n;
        lanes_ = (n + LANE_GROUP - 1) / LANE_GROUP * LANE_GROUP;
        samples_.clear();
        if (++turn_ == 0) {
            turn_ = 1;
            for (Values &of : values_) {
                std::fill(of.fetched.begin(), of.fetched.end(), 0);
                std::fill(of.changed.begin(), of.changed.end(), 0);
            }
        }
        for (Values &of : values_)
            of.list.clear();
    }

    template <class Body> void each_piece(const Tensor &of, Body body) const {
        for (int lane = 0; lane < lanes_;) {
            const int n = std::min(lanes_ - lane, of.block() - samples_[std::size_t(lane)] % of.block());
            body(lane, n);
            lane += n;
        }
    }

    const GoldenValues &golden_;
    const LaneKernels<T> &kernels_;
    std::vector<Values> values_;
    std::vector<int> samples_;
    std::uint32_t turn_ = 0;
    int size_ = 0, lanes_ = 0;
    bool in_a_row_ = true;
};

} // namespace codesign::engine

#endif
