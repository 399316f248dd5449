#include "lane_strikes.h"

#include <algorithm>

namespace codesign::engine {

namespace {

// A neuron at one pixel of one sample, as Striker wants it: leaf 0 is the bias, leaves 1.. are the products, each cast.
template <class T> class LaneNeuron {
  public:
    LaneNeuron(const LanePlan<T> &plan, const LaneKernels<T> &kernels, const T *operands, const T *weights, T start)
        : plan_(plan), layer_(*plan.layer), kernels_(kernels), operands_(operands), weights_(weights), start_(start) {}

    // Before its cast; zero behind the last, where a shared unit's last pass is filled up.
    Int product(int k) const { return k < layer_.fan_in ? multiplied(operands_[k], weights_[k]) : 0; }

    Int leaf(int index) const {
        if (!layer_.has_weights())
            return Cast(layer_.source_types[std::size_t(index)], layer_.accumulator)(operands_[index]);
        return index == 0 ? Int(start_) : Cast(layer_.product_frac(), layer_.accumulator)(product(index - 1));
    }

    // Sum of leaves, modulo the accumulator's range.
    Int partial(Span span) const {
        Int sum = 0;
        if (!layer_.has_weights() || !layer_.exact()) {
            for (int index = span.first; index < span.end && index <= layer_.fan_in; ++index)
                sum = added(sum, leaf(index));
            return sum;
        }
        const int first = std::max(span.first - 1, 0), end = std::min(span.end - 1, layer_.fan_in);
        if (first < end)
            sum = plan_.scaled(kernels_.dot(operands_ + first, weights_ + first, end - first));
        return span.first == 0 ? added(sum, start_) : sum;
    }

  private:
    const LanePlan<T> &plan_;
    const Layer &layer_;
    const LaneKernels<T> &kernels_;
    const T *operands_, *weights_;
    T start_;
};

} // namespace

void append_words(const Layer &layer, const Fault &fault, int lane, std::vector<StruckWord> &words) {
    const bool always = fault.step == ALL_STEPS;
    const int first = always ? 0 : fault.step, last = always ? layer.pixels - 1 : fault.step;
    for (int pixel = first; pixel <= last; ++pixel)
        words.push_back({pixel * layer.neurons + fault.neuron, lane, Word(1) << fault.bit});
}

void merge_words(std::vector<StruckWord> &words) {
    if (!std::is_sorted(words.begin(), words.end()))
        std::sort(words.begin(), words.end());
    std::size_t n = 0;
    for (const StruckWord &word : words)
        if (n && words[n - 1].same_word(word))
            words[n - 1].mask ^= word.mask;
        else
            words[n++] = word;
    words.resize(n);
}

template <class T>
void LaneStrikes<T>::strike(LaneTile<T> &tile, int index, const LaneParameters<T> &parameters, std::vector<Use> &uses,
                            const std::vector<StruckWord> &voters, Flags &flags) {
    tile_ = &tile;
    index_ = index;
    plan_ = &context_.plans[std::size_t(index)];
    parameters_ = &parameters;
    singles_.clear();
    // A voter must find the struck sums in their rows.
    if (!voters.empty() && !uses.empty())
        for (const StruckWord &word : voters)
            sums_.compute(word.row);
    if (!std::is_sorted(uses.begin(), uses.end()))
        std::stable_sort(uses.begin(), uses.end());
    const Use *end = uses.data() + uses.size();
    for (const Use *first = uses.data(), *last = first; first != end; first = last) {
        while (last != end && last->row == first->row)
            ++last;
        strike_row(first, last, flags);
    }
    vote(voters);
}

// All uses of one lane at one pixel.
template <class T> void LaneStrikes<T>::strike_row(const Use *first, const Use *last, Flags &flags) {
    const Layer &layer = *plan_->layer;
    const int lane = first->row / layer.pixels, pixel = first->row % layer.pixels;
    const bool read = !parameters_->changed.empty();
    const std::vector<T> &weights = read ? parameters_->by_neuron : plan_->by_neuron;
    const std::vector<T> &starts = read ? parameters_->starts : plan_->starts;
    if (!layer.per_channel())
        gather(first, last, pixel, lane);
    for (const Use *use = first, *end = use; use != last; use = end) {
        while (end != last && end->neuron == use->neuron)
            ++end;
        if (layer.per_channel())
            gather(use, end, pixel, lane);
        const T *w = layer.has_weights() ? weights.data() + std::ptrdiff_t(use->neuron) * layer.fan_in : nullptr;
        const T start = layer.has_weights() ? starts[std::size_t(use->neuron)] : T(0);
        const LaneNeuron<T> neuron(*plan_, context_.kernels, operands_.data(), w, start);
        const int row = pixel * layer.neurons + use->neuron;
        // Adding up one sum is cheaper than those of all lanes.
        const bool alone = !known(row) && !layer.saturates();
        const Int before =
            alone ? wrap(neuron.partial({0, layer.fan_in + 1}), layer.accumulator) : known_sum(row, lane);
        const Voted after = striker_.struck(layer, use, end, before, neuron);
        put(row, lane, before, after.sum);
        if (after.differ)
            flags.raise(tile_->sample(lane), layer.flag());
    }
}

// The operands that the uses need: of a single adder only those that it sums.
template <class T> void LaneStrikes<T>::gather(const Use *first, const Use *last, int pixel, int lane) {
    const Layer &layer = *plan_->layer;
    Entering<T> entering(*tile_, layer);
    const int n = layer.fan_in + (layer.kind == Kind::ADD);
    operands_.resize(std::size_t(n));
    int from = 0, to = n;
    const bool kept = !context_.golden.sums[std::size_t(index_)].empty();
    if (last - first == 1 && kept && !first->on_product && first->replica == 0 && !layer.saturates() &&
        layer.has_weights()) {
        const Span span = layer.spans[std::size_t(first->place)];
        from = std::max(span.first - 1, 0);
        to = std::min(span.end - 1, n);
    }
    if (!layer.per_channel() && !layer.window.exists()) {
        entering.column(from, to - from, lane, operands_.data() + from);
        return;
    }
    if (!layer.per_channel()) {
        const int channels = layer.window.channels;
        for (int k = from / channels * channels; k < to; k += channels) {
            const int at = LaneSums<T>::operand(layer, pixel, first->neuron, k);
            if (at < 0)
                std::fill_n(operands_.begin() + k, channels, T(0));
            else
                entering.column(at, channels, lane, operands_.data() + k);
        }
        return;
    }
    for (int k = from; k < to; ++k) {
        const int at = LaneSums<T>::operand(layer, pixel, first->neuron, k);
        operands_[std::size_t(k)] = at < 0 ? T(0) : entering.at(at, lane);
    }
}

template <class T> bool LaneStrikes<T>::known(int row) const {
    return sums_.computed(row) || !context_.golden.sums[std::size_t(index_)].empty();
}

template <class T> Int LaneStrikes<T>::known_sum(int row, int lane) {
    if (sums_.computed(row))
        return sums_.row(row)[lane];
    const Tensor &kept = context_.golden.sums[std::size_t(index_)];
    if (!kept.empty())
        return kept.at(row, tile_->sample(lane));
    sums_.compute(row);
    return sums_.row(row)[lane];
}

template <class T> void LaneStrikes<T>::put(int row, int lane, Int before, Int after) {
    if (sums_.computed(row))
        sums_.row(row)[lane] = T(after);
    else if (after != before)
        singles_.push_back({row, lane, after});
}

template <class T> void LaneStrikes<T>::vote(const std::vector<StruckWord> &voters) {
    for (const StruckWord &word : voters) {
        const Int before = known_sum(word.row, word.lane);
        put(word.row, word.lane, before, wrap(Int(Word(before) ^ word.mask), plan_->layer->accumulator));
    }
}

template class LaneStrikes<std::int32_t>;
template class LaneStrikes<std::int64_t>;

} // namespace codesign::engine
