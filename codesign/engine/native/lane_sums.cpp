#include "lane_sums.h"

namespace codesign::engine {

template <class T> LaneSums<T>::LaneSums(const LaneContext<T> &context) : context_(context) {
    std::size_t rows = 0;
    for (const Layer &layer : context.model.layers)
        if (layer.computes())
            rows = std::max(rows, std::size_t(layer.n_out));
    const std::size_t lanes = std::size_t(context.most_lanes);
    sums_.reset(new T[rows * lanes]);
    computed_.assign(rows, 0);
    zeros_.assign(lanes, 0);
    ones_.assign(lanes, 1);
    other_.resize(lanes);
}

template <class T> int LaneSums<T>::operand(const Layer &layer, int pixel, int neuron, int k) {
    if (layer.kind == Kind::ADD)
        return k * layer.n_out + pixel * layer.neurons + neuron;
    const Window &window = layer.window;
    if (!window.exists())
        return layer.per_channel() ? pixel * layer.neurons + neuron : k;
    const int place = layer.per_channel() ? k : k / window.channels;
    const int channel = layer.per_channel() ? neuron : k % window.channels;
    const int at = window.places[std::size_t(pixel) * std::size_t(window.n_places) + std::size_t(place)];
    return at < 0 ? -1 : at * window.channels + channel;
}

template <class T> void LaneSums<T>::begin(LaneTile<T> &tile, int index, const LaneParameters<T> *parameters) {
    tile_ = &tile;
    index_ = index;
    lanes_ = tile.lanes();
    plan_ = &context_.plans[std::size_t(index)];
    layer_ = plan_->layer;
    parameters_ = parameters;
    everything_ = parameters == nullptr;
    list_.clear();
    if (++turn_ == 0) {
        turn_ = 1;
        std::fill(computed_.begin(), computed_.end(), 0);
    }
}

template <class T> void LaneSums<T>::mark(int first, int n) {
    for (int row = first; row < first + n; ++row) {
        computed_[std::size_t(row)] = turn_;
        list_.push_back(row);
    }
}

template <class T> void LaneSums<T>::compute_all(LaneTile<T> &tile, int index) {
    begin(tile, index, nullptr);
    for (int pixel = 0; pixel < layer_->pixels; ++pixel)
        of_pixel(pixel);
}

template <class T>
void LaneSums<T>::compute_changed(LaneTile<T> &tile, int index, const LaneParameters<T> &parameters) {
    begin(tile, index, &parameters);
    entering_changed_ = Entering<T>(tile, *layer_).any_changed();
    if (entering_changed_)
        count_changes();
    else if (parameters.changed.empty())
        return;
    for (int pixel = 0; pixel < layer_->pixels; ++pixel) {
        if (entering_changed_ && pixel_changed(pixel))
            of_pixel(pixel);
        if (!parameters.changed.empty())
            change_parameters(pixel);
    }
}

template <class T> void LaneSums<T>::compute(int row) {
    if (!computed(row))
        of_neuron(row / layer_->neurons, row % layer_->neurons);
}

template <class T> void LaneSums<T>::count_changes() {
    const int channels = layer_->window.exists() ? layer_->window.channels
                         : layer_->per_channel() ? layer_->neurons
                                                 : 1;
    changes_in_.assign(std::size_t(layer_->n_in / channels), 0);
    Entering<T>(*tile_, *layer_).each_changed([&](int k) { ++changes_in_[std::size_t(k / channels)]; });
}

template <class T> bool LaneSums<T>::pixel_changed(int pixel) const {
    const Window &window = layer_->window;
    if (!window.exists()) {
        if (!layer_->per_channel())
            return true;
        const bool second = layer_->kind == Kind::ADD && changes_in_[std::size_t(layer_->pixels + pixel)];
        return second || changes_in_[std::size_t(pixel)];
    }
    const std::int32_t *places = window.places.data() + std::size_t(pixel) * std::size_t(window.n_places);
    return std::any_of(places, places + window.n_places,
                       [&](std::int32_t at) { return at >= 0 && changes_in_[std::size_t(at)]; });
}

template <class T> void LaneSums<T>::of_pixel(int pixel) {
    const int neurons = layer_->neurons;
    if (layer_->per_channel() || !regroups()) {
        Entering<T> entering(*tile_, *layer_);
        for (int neuron = 0; neuron < neurons; ++neuron) {
            bool changed = everything_ || !layer_->per_channel();
            for (int k = 0; !changed && k < layer_->fan_in + (layer_->kind == Kind::ADD); ++k) {
                const int from = operand(*layer_, pixel, neuron, k);
                changed = from >= 0 && entering.changed(from);
            }
            if (changed)
                of_neuron(pixel, neuron);
        }
        return;
    }
    regrouped(pixel, 0, neurons);
}

template <class T> void LaneSums<T>::of_neuron(int pixel, int neuron) {
    const int row = pixel * layer_->neurons + neuron;
    if (layer_->kind != Kind::ADD && regroups()) {
        regrouped(pixel, neuron, 1);
        return;
    }
    one_by_one(pixel, neuron);
    mark(row, 1);
}

// n neurons' sums at a pixel: the fault-free ones and the changes of operands, or where nearly all operands have
// changed the bias and all products.
template <class T> void LaneSums<T>::regrouped(int pixel, int first, int n) {
    const int row = pixel * layer_->neurons + first, unchanged = layer_->fan_in - changed_operands(pixel);
    const int source = layer_->sources[0];
    values_.clear();
    weights_.clear();
    if (kept() && unchanged * (2 + n) >= 2 * n) {
        tile_->unpack(context_.golden.sums[std::size_t(index_)], row, this->row(row), n);
        if (unchanged < layer_->fan_in)
            each_operand(pixel, first, [&](int k, int from) {
                if (tile_->changed(source, from))
                    add_term(tile_->delta(source, from), k, first);
            });
    } else {
        for (int k = 0; k < n; ++k)
            std::fill_n(this->row(row + k), lanes_, plan_->starts[std::size_t(first + k)]);
        each_operand(pixel, first, [&](int k, int from) { add_term(tile_->fetch(source, from), k, first); });
    }
    context_.kernels.accumulate(values_.data(), weights_.data(), int(values_.size()), this->row(row), n, lanes_);
    mark(row, n);
}

// At most so many of the operands of a pixel have changed.
template <class T> int LaneSums<T>::changed_operands(int pixel) const {
    if (everything_ || !entering_changed_)
        return 0;
    const Window &window = layer_->window;
    if (!window.exists())
        return layer_->per_channel() ? changes_in_[std::size_t(pixel)]
                                     : int(tile_->changed_rows(layer_->sources[0]).size());
    int found = 0;
    const std::int32_t *places = window.places.data() + std::size_t(pixel) * std::size_t(window.n_places);
    for (int place = 0; place < window.n_places; ++place)
        found += places[place] < 0 ? 0 : changes_in_[std::size_t(places[place])];
    return std::min(found, layer_->fan_in);
}

// Calls `body` with the number of each operand of a neuron at a pixel and of the value that it is.
template <class T> template <class Body> void LaneSums<T>::each_operand(int pixel, int neuron, Body body) const {
    const Window &window = layer_->window;
    if (!window.exists()) {
        for (int k = 0; k < layer_->fan_in; ++k)
            body(k, layer_->per_channel() ? pixel * layer_->neurons + neuron : k);
        return;
    }
    const std::int32_t *places = window.places.data() + std::size_t(pixel) * std::size_t(window.n_places);
    for (int place = 0; place < window.n_places; ++place) {
        const int from = places[place] * window.channels;
        if (from < 0)
            continue;
        if (layer_->per_channel())
            body(place, from + neuron);
        else
            for (int channel = 0; channel < window.channels; ++channel)
                body(place * window.channels + channel, from + channel);
    }
}

template <class T> void LaneSums<T>::add_term(const T *values, int k, int first) {
    values_.push_back(values);
    weights_.push_back(plan_->weights.data() + std::ptrdiff_t(k) * layer_->neurons + first);
}

template <class T> void LaneSums<T>::one_by_one(int pixel, int neuron) {
    Entering<T> entering(*tile_, *layer_);
    const LaneKernels<T> &kernels = context_.kernels;
    T *sums = row(pixel * layer_->neurons + neuron);
    if (layer_->kind == Kind::ADD) {
        kernels.cast(plan_->enter[0], entering.fetch(operand(*layer_, pixel, neuron, 0)), sums, lanes_);
        kernels.cast(plan_->enter[1], entering.fetch(operand(*layer_, pixel, neuron, 1)), other_.data(), lanes_);
        kernels.add(other_.data(), sums, lanes_);
        kernels.cast(plan_->into_sum, sums, sums, lanes_);
        return;
    }
    values_.clear();
    for (int k = 0; k < layer_->fan_in; ++k) {
        const int from = operand(*layer_, pixel, neuron, k);
        values_.push_back(from < 0 ? zeros_.data() : entering.fetch(from));
    }
    const bool read = parameters_ && !parameters_->changed.empty();
    const std::vector<T> &weights = read ? parameters_->by_neuron : plan_->by_neuron;
    const T start = (read ? parameters_->starts : plan_->starts)[std::size_t(neuron)];
    const T *of_neuron = weights.data() + std::ptrdiff_t(neuron) * layer_->fan_in;
    kernels.chain({plan_->product, plan_->into_sum, values_.data(), of_neuron, 1, layer_->fan_in, start}, sums, lanes_);
}

template <class T> void LaneSums<T>::change_parameters(int pixel) {
    const std::vector<LaneParameter<T>> &changed = parameters_->changed;
    for (std::size_t k = 0; k < changed.size();) {
        const int neuron = changed[k].neuron, row = pixel * layer_->neurons + neuron;
        compute(row);
        if (regroups() && layer_->has_weights()) {
            Entering<T> entering(*tile_, *layer_);
            values_.clear();
            weights_.clear();
            for (; k < changed.size() && changed[k].neuron == neuron; ++k) {
                const bool bias = changed[k].place == LaneParameter<T>::BIAS;
                const int from = bias ? 0 : operand(*layer_, pixel, neuron, changed[k].place);
                if (from < 0)
                    continue;
                values_.push_back(bias ? ones_.data() : entering.fetch(from));
                weights_.push_back(&changed[k].delta);
            }
            context_.kernels.accumulate(values_.data(), weights_.data(), int(values_.size()), this->row(row), 1,
                                        lanes_);
        }
        while (k < changed.size() && changed[k].neuron == neuron)
            ++k;
    }
}

template class LaneSums<std::int32_t>;
template class LaneSums<std::int64_t>;

} // namespace codesign::engine
