#include "lane_worker.h"

#include <algorithm>

namespace codesign::engine {

namespace {

// Rows are taken through elementwise layers while they are in the first cache.
constexpr int VALUES_AT_ONCE = 2048;

} // namespace

template <class T>
LaneWorker<T>::LaneWorker(const LaneContext<T> &context)
    : context_(context), tile_(context.model, context.golden, context.kernels, context.most_lanes), sums_(context),
      strikes_(context, sums_), elementwise_(context), passive_(context, elementwise_),
      struck_(context.model.layers.size()), outcome_(context.golden.n_samples, context.golden.tops.data()) {}

template <class T> const Outcome &LaneWorker<T>::run_drawn(const FaultSpace &space, Int trial, bool with_logits) {
    drawn_.clear();
    space.draw(trial, drawn_, context_.drawing);
    return run(drawn_.data(), drawn_.size(), with_logits);
}

template <class T> const Outcome &LaneWorker<T>::run(const Fault *faults, std::size_t n_faults, bool with_logits) {
    outcome_.clear();
    with_logits_ = with_logits;
    sort_faults(faults, n_faults);
    // Samples side by side are worth it even where a few of them are not struck.
    if (strikes_everywhere() || 4 * n_faults > std::size_t(context_.golden.n_samples))
        run_in_a_row();
    else
        run_samples();
    restore_parameters();
    return outcome_;
}

template <class T> void LaneWorker<T>::sort_faults(const Fault *faults, std::size_t n_faults) {
    for (Struck &struck : struck_) {
        struck.stored.clear();
        struck.persistent.clear();
        struck.transient.clear();
        struck.next = 0;
    }
    samples_.clear();
    for (std::size_t k = 0; k < n_faults; ++k) {
        const Fault &fault = faults[k];
        Struck &struck = struck_[std::size_t(fault.layer)];
        const bool stored = fault.target == WEIGHT || fault.target == BIAS;
        (stored ? struck.stored : fault.sample == ALL_SAMPLES ? struck.persistent : struck.transient).push_back(&fault);
        if (!stored && fault.sample != ALL_SAMPLES)
            samples_.push_back(fault.sample);
    }
    const auto earlier = [](const Fault *a, const Fault *b) { return a->sample < b->sample; };
    for (std::size_t layer = 0; layer < struck_.size(); ++layer) {
        Struck &struck = struck_[layer];
        if (!std::is_sorted(struck.transient.begin(), struck.transient.end(), earlier))
            std::stable_sort(struck.transient.begin(), struck.transient.end(), earlier);
        if (!struck.stored.empty())
            change_parameters(struck, int(layer));
    }
}

template <class T> void LaneWorker<T>::change_parameters(Struck &struck, int index) {
    const LanePlan<T> &plan = context_.plans[std::size_t(index)];
    const Layer &layer = *plan.layer;
    LaneParameters<T> &parameters = struck.parameters;
    if (parameters.by_neuron.empty()) {
        parameters.by_neuron = plan.by_neuron;
        parameters.starts = plan.starts;
    }
    struck.changed.clear();
    outcome_.flags.raise_everywhere(changed_parameters(layer, struck.stored, struck.changed));
    for (const ChangedParameter &one : struck.changed) {
        if (one.target == BIAS) {
            const T before = plan.start(one.before), after = plan.start(one.after);
            parameters.starts[std::size_t(one.neuron)] = after;
            parameters.changed.push_back({one.neuron, LaneParameter<T>::BIAS, T(Word(after) - Word(before))});
            continue;
        }
        const std::size_t row = std::size_t(one.neuron) * std::size_t(layer.fan_in);
        parameters.by_neuron[row + std::size_t(one.operand)] = T(one.after);
        parameters.changed.push_back({one.neuron, one.operand, plan.scaled(one.after - one.before)});
    }
    std::stable_sort(parameters.changed.begin(), parameters.changed.end());
}

template <class T> void LaneWorker<T>::restore_parameters() {
    for (std::size_t index = 0; index < struck_.size(); ++index) {
        LaneParameters<T> &parameters = struck_[index].parameters;
        const LanePlan<T> &plan = context_.plans[index];
        for (const LaneParameter<T> &one : parameters.changed) {
            const std::size_t neuron = std::size_t(one.neuron);
            const std::size_t at = neuron * std::size_t(plan.layer->fan_in) + std::size_t(std::max(one.place, 0));
            parameters.by_neuron[at] = plan.by_neuron[at];
            parameters.starts[neuron] = plan.starts[neuron];
        }
        parameters.changed.clear();
    }
}

template <class T> bool LaneWorker<T>::strikes_everywhere() const {
    return std::any_of(struck_.begin(), struck_.end(), [](const Struck &struck) {
        return !struck.persistent.empty() || !struck.parameters.changed.empty();
    });
}

template <class T> void LaneWorker<T>::run_in_a_row() {
    const int n_samples = context_.golden.n_samples;
    for (int first = 0; first < n_samples; first += context_.most_lanes) {
        tile_.take(first, std::min(context_.most_lanes, n_samples - first));
        run_tile(with_logits_);
    }
}

template <class T> void LaneWorker<T>::run_samples() {
    std::sort(samples_.begin(), samples_.end());
    samples_.erase(std::unique(samples_.begin(), samples_.end()), samples_.end());
    const int n = int(samples_.size());
    for (int first = 0; first < n; first += context_.most_lanes) {
        tile_.take(samples_.data() + first, std::min(context_.most_lanes, n - first));
        run_tile(with_logits_);
    }
}

template <class T> void LaneWorker<T>::run_tile(bool with_logits) {
    for (int index = 0; index < int(struck_.size()); ++index)
        run_layer(index);
    tell(with_logits);
}

template <class T> void LaneWorker<T>::run_layer(int index) {
    const Layer &layer = context_.model.layers[std::size_t(index)];
    const Struck &struck = struck_[std::size_t(index)];
    if (!struck.any() && !Entering<T>(tile_, layer).any_changed())
        return;
    take_faults(index);
    if (layer.computes()) {
        sums_.compute_changed(tile_, index, struck.parameters);
        strikes_.strike(tile_, index, struck.parameters, uses_, voters_, outcome_.flags);
        leave_sums(index);
    } else {
        passive_.run(tile_, index, false, [&](int row) { tile_.settle(index, row); });
    }
    for (const StruckWord &word : registers_) {
        const Int value = tile_.at(index, word.row, word.lane);
        tile_.set(index, word.row, word.lane, T(wrap(Int(Word(value) ^ word.mask), layer.result)));
    }
}

// The last of the elementwise layers that follow on a layer and that no fault strikes.
template <class T> int LaneWorker<T>::last_followed(int index) const {
    int last = index;
    if (registers_.empty())
        while (elementwise_.followed(last) && !struck_[std::size_t(last) + 1].any())
            ++last;
    return last;
}

// Brings sums to the layer's result, and through the layers that follow at once.
template <class T> void LaneWorker<T>::leave_sums(int index) {
    const LanePlan<T> &plan = context_.plans[std::size_t(index)];
    const int last = last_followed(index), lanes = tile_.lanes();
    const std::vector<int> &rows = sums_.computed_rows();
    const std::size_t most = std::size_t(std::max(VALUES_AT_ONCE / lanes, 1));
    for (std::size_t k = 0; k < rows.size();) {
        const int first = rows[k];
        int n = 1; // rows one behind the other
        while (++k < rows.size() && std::size_t(n) < most && rows[k] == first + n)
            ++n;
        T *values = tile_.row(last, first);
        context_.kernels.cast(plan.leave, sums_.row(first), values, n * lanes);
        for (int next = index + 1; next <= last; ++next)
            elementwise_.rows(next, first, n, values, values, lanes);
        tile_.settle(last, first, n);
    }
    const Cast cast(plan.layer->accumulator, plan.layer->result);
    for (const auto &single : strikes_.singles()) {
        Int value = cast(single.sum);
        for (int next = index + 1; next <= last; ++next)
            value = elementwise_.value(next, single.row, value);
        tile_.set(last, single.row, single.lane, T(value));
    }
}

// The tile's faults of a layer, as uses and words of its lanes.
template <class T> void LaneWorker<T>::take_faults(int index) {
    const Layer &layer = context_.model.layers[std::size_t(index)];
    Struck &struck = struck_[std::size_t(index)];
    uses_.clear();
    voters_.clear();
    registers_.clear();
    const int last = tile_.sample(tile_.size() - 1);
    for (; struck.next < struck.transient.size() && struck.transient[struck.next]->sample <= last; ++struck.next) {
        const Fault &fault = *struck.transient[struck.next];
        append(layer, fault, tile_.lane(fault.sample));
    }
    for (const Fault *fault : struck.persistent)
        for (int lane = 0; lane < tile_.size(); ++lane)
            append(layer, *fault, lane);
    merge_words(voters_);
    merge_words(registers_);
}

template <class T> void LaneWorker<T>::append(const Layer &layer, const Fault &fault, int lane) {
    if (fault.target == VOTER || fault.target == ACTIVATION)
        append_words(layer, fault, lane, fault.target == VOTER ? voters_ : registers_);
    else
        append_uses(layer, fault, lane * layer.pixels, uses_);
}

// Appends the tile's samples whose logits have changed.
template <class T> void LaneWorker<T>::tell(bool with_logits) {
    const Model &model = context_.model;
    const int last = int(model.layers.size()) - 1, n_out = model.last().n_out, lanes = tile_.lanes();
    const std::vector<int> &changed = tile_.changed_rows(last);
    if (changed.empty())
        return;
    differs_.assign(std::size_t(lanes), 0);
    for (const int row : changed) {
        const T *delta = tile_.delta(last, row);
        for (int lane = 0; lane < lanes; ++lane)
            differs_[std::size_t(lane)] |= delta[lane];
    }
    logits_.clear();
    for (int row = 0; row < n_out; ++row)
        logits_.push_back(tile_.fetch(last, row));
    largest_.assign(logits_[0], logits_[0] + lanes);
    tops_.assign(std::size_t(lanes), 0);
    for (int row = 1; row < n_out; ++row)
        context_.kernels.top(logits_[std::size_t(row)], T(row), largest_.data(), tops_.data(), lanes);
    for (int lane = 0; lane < tile_.size(); ++lane) {
        if (!differs_[std::size_t(lane)])
            continue;
        const std::int32_t sample = tile_.sample(lane), top = std::int32_t(tops_[std::size_t(lane)]);
        const auto logit = [&](int row) { return logits_[std::size_t(row)][lane]; };
        append_answer(outcome_.answers, sample, top, n_out, logit);
        if (!with_logits)
            continue;
        outcome_.samples.push_back(sample);
        for (int row = 0; row < n_out; ++row)
            outcome_.logits.push_back(logit(row));
    }
}

template <class T> void LaneWorker<T>::prime(GoldenValues &golden, int first, int n) {
    tile_.take(first, n);
    const int lanes = tile_.lanes();
    for (int index = 0; index < int(context_.model.layers.size()); ++index) {
        const LanePlan<T> &plan = context_.plans[std::size_t(index)];
        Tensor &values = golden.values[std::size_t(index)], &sums = golden.sums[std::size_t(index)];
        const auto keep = [&](int row) { tile_.pack(tile_.row(index, row), values, row); };
        if (!plan.layer->computes()) {
            passive_.run(tile_, index, true, keep);
            continue;
        }
        LaneCast<T> into_range;
        into_range.wrap_first(plan.layer->accumulator);
        sums_.compute_all(tile_, index);
        for (const int row : sums_.computed_rows()) {
            T *sum = sums_.row(row);
            context_.kernels.cast(into_range, sum, sum, lanes);
            if (!sums.empty())
                tile_.pack(sum, sums, row);
            context_.kernels.cast(plan.leave, sum, tile_.row(index, row), lanes);
            keep(row);
        }
    }
}

template class LaneWorker<std::int32_t>;
template class LaneWorker<std::int64_t>;

} // namespace codesign::engine
