#include "generic.h"

#include <algorithm>
#include <numeric>

#include "lane_worker.h"

namespace codesign::engine {

namespace {

// Fault-free sums that are kept beside the values of all layers, in bytes.
constexpr std::size_t SUMS_BUDGET = std::size_t(40) << 20;
// Single sums of so few products are computed again as fast as they are read.
constexpr int CHEAP_FAN_IN = 9;
// A worker's values should stay in the second cache.
constexpr std::size_t TILE_BYTES = std::size_t(2) << 20;
constexpr int MOST_LANES_OF_TILE = 512;

int lanes_of(const Model &model, std::size_t number_bytes) {
    std::size_t rows = std::size_t(model.n_in);
    for (const Layer &layer : model.layers)
        rows += std::size_t(layer.n_out);
    // Of each value the difference from the fault-free one is kept, too.
    const std::size_t fitting = TILE_BYTES / (2 * rows * number_bytes);
    int lanes = LANE_GROUP;
    while (lanes < MOST_LANES_OF_TILE && 2 * std::size_t(lanes) <= fitting)
        lanes *= 2;
    return lanes;
}

template <class T> class LaneSimulator : public Simulator {
  public:
    LaneSimulator(const Model &model, const Int *inputs, int n_samples, int level)
        : plans_(model.layers.begin(), model.layers.end()),
          context_{model, kept_, plans_, lanes_up_to<T>(level), kernels_up_to(level), lanes_of(model, sizeof(T))} {
        kept_.n_samples = n_samples;
        block_ = std::min(context_.most_lanes, Tensor::LARGEST_BLOCK);
        kept_.inputs = Tensor(model.n_in, n_samples, model.input_type, block_);
        for (const Layer &layer : model.layers)
            kept_.values.emplace_back(layer.n_out, n_samples, layer.result, block_);
        keep_sums();
        LaneTile<T> inputs_tile(Model{model.input_type, model.n_in, {}}, kept_, context_.kernels, context_.most_lanes);
        std::vector<T> row(std::size_t(context_.most_lanes));
        LaneWorker<T> worker(context_);
        for (int first = 0; first < n_samples; first += context_.most_lanes) {
            const int n = std::min(context_.most_lanes, n_samples - first);
            inputs_tile.take(first, n);
            for (int k = 0; k < model.n_in; ++k) {
                for (int lane = 0; lane < n; ++lane)
                    row[std::size_t(lane)] =
                        T(inputs[std::size_t(first + lane) * std::size_t(model.n_in) + std::size_t(k)]);
                inputs_tile.pack(row.data(), kept_.inputs, k);
            }
            worker.prime(kept_, first, n);
        }
        const int last = int(model.layers.size()) - 1;
        for (int sample = 0; sample < n_samples; ++sample)
            for (int row_number = 0; row_number < model.last().n_out; ++row_number)
                golden_.push_back(kept_.leaving(last).at(row_number, sample));
        kept_.tops = tops_of(golden_, model.last().n_out);
    }

    std::unique_ptr<Worker> worker() const override { return std::make_unique<LaneWorker<T>>(context_); }
    const std::vector<Int> &golden() const override { return golden_; }
    const std::vector<std::int32_t> &golden_tops() const override { return kept_.tops; }

  private:
    // The sums that are the most work to compute again come first.
    void keep_sums() {
        const std::vector<Layer> &layers = context_.model.layers;
        kept_.sums.resize(layers.size());
        std::vector<std::size_t> order(layers.size());
        std::iota(order.begin(), order.end(), std::size_t(0));
        std::stable_sort(order.begin(), order.end(),
                         [&](std::size_t a, std::size_t b) { return layers[a].fan_in > layers[b].fan_in; });
        std::size_t left = SUMS_BUDGET;
        for (const std::size_t index : order) {
            const Layer &layer = layers[index];
            if (!layer.computes() || (layer.per_channel() && layer.fan_in <= CHEAP_FAN_IN && !layer.saturates()))
                continue;
            const std::size_t bytes = Tensor::bytes_of(layer.n_out, kept_.n_samples, layer.accumulator);
            if (bytes > left)
                continue;
            left -= bytes;
            kept_.sums[index] = Tensor(layer.n_out, kept_.n_samples, layer.accumulator, block_);
        }
    }

    std::vector<LanePlan<T>> plans_;
    GoldenValues kept_;
    int block_ = LANE_GROUP;
    LaneContext<T> context_;
    std::vector<Int> golden_;
};

} // namespace

std::unique_ptr<Simulator> generic_simulator(const Model &model, const Int *inputs, int n_samples, int level) {
    if (fits_32_bits(model))
        return std::make_unique<LaneSimulator<std::int32_t>>(model, inputs, n_samples, level);
    return std::make_unique<LaneSimulator<std::int64_t>>(model, inputs, n_samples, level);
}

} // namespace codesign::engine
