#include "lane_passive.h"

#include <algorithm>

#include "passive.h"

namespace codesign::engine {

template <class T>
LanePassive<T>::LanePassive(const LaneContext<T> &context, LaneElementwise<T> &elementwise)
    : context_(context), elementwise_(elementwise), sums_(std::size_t(context.most_lanes)),
      entered_(std::size_t(context.most_lanes)) {}

template <class T> void LanePassive<T>::begin(LaneTile<T> &tile, int index, bool everything) {
    tile_ = &tile;
    index_ = index;
    everything_ = everything;
    plan_ = &context_.plans[std::size_t(index)];
    layer_ = plan_->layer;
    written_.clear();
}

template <class T> T *LanePassive<T>::target(int row) {
    written_.push_back(row);
    return tile_->row(index_, row);
}

template <class T> void LanePassive<T>::write() {
    Entering<T> entering(*tile_, *layer_);
    switch (layer_->kind) {
    case Kind::RELU:
    case Kind::ACTIVATION:
        if (everything_)
            for (int row = 0; row < layer_->n_out; ++row)
                elementwise(row);
        else
            entering.each_changed([&](int row) { elementwise(row); });
        return;
    case Kind::MAX_POOL:
    case Kind::AVERAGE_POOL:
        return pooled();
    case Kind::SOFTMAX:
    case Kind::ARGMAX:
        return of_samples();
    default:
        return wired();
    }
}

template <class T> void LanePassive<T>::elementwise(int row) {
    const T *values = Entering<T>(*tile_, *layer_).fetch(row);
    elementwise_.rows(index_, row, 1, values, target(row), tile_->lanes());
}

template <class T> void LanePassive<T>::pooled() {
    const Window &window = layer_->window;
    Entering<T> entering(*tile_, *layer_);
    touched_.assign(std::size_t(layer_->n_in / window.channels), everything_);
    entering.each_changed([&](int k) { touched_[std::size_t(k / window.channels)] = true; });
    for (int pixel = 0; pixel < layer_->pixels; ++pixel) {
        const std::int32_t *places = window.places.data() + std::size_t(pixel) * std::size_t(window.n_places);
        const auto any = [&](auto test) { return std::any_of(places, places + window.n_places, test); };
        if (!everything_ && !any([&](std::int32_t at) { return at >= 0 && touched_[std::size_t(at)]; }))
            continue;
        for (int channel = 0; channel < window.channels; ++channel)
            if (everything_ ||
                any([&](std::int32_t at) { return at >= 0 && entering.changed(at * window.channels + channel); }))
                pool(pixel, channel);
    }
}

template <class T> void LanePassive<T>::pool(int pixel, int channel) {
    const Window &window = layer_->window;
    const LaneKernels<T> &kernels = context_.kernels;
    Entering<T> entering(*tile_, *layer_);
    const bool largest = layer_->kind == Kind::MAX_POOL;
    const int lanes = tile_->lanes();
    std::fill_n(sums_.begin(), lanes, largest ? T(layer_->source_types[0].min_raw()) : T(0));
    T inside = 0;
    for (int place = 0; place < window.n_places; ++place) {
        const int at = window.places[std::size_t(pixel) * std::size_t(window.n_places) + std::size_t(place)];
        if (at < 0)
            continue;
        const T *values = entering.fetch(at * window.channels + channel);
        ++inside;
        if (largest) {
            kernels.raise(values, sums_.data(), lanes);
            continue;
        }
        kernels.cast(plan_->enter[0], values, entered_.data(), lanes);
        kernels.add(entered_.data(), sums_.data(), lanes);
    }
    if (!largest && inside) {
        LaneCast<T> into_range;
        into_range.wrap_first(layer_->accumulator);
        kernels.cast(into_range, sums_.data(), sums_.data(), lanes);
        if (inside > 1)
            kernels.divide(inside, sums_.data(), lanes);
    }
    kernels.cast(plan_->leave, sums_.data(), target(pixel * layer_->neurons + channel), lanes);
}

template <class T> void LanePassive<T>::wired() {
    Entering<T> entering(*tile_, *layer_);
    const int lanes = tile_->lanes(), first = layer_->source_sizes[0];
    for (int row = 0; row < layer_->n_out; ++row) {
        const int at = layer_->wiring[std::size_t(row)];
        if (at < 0) {
            if (everything_)
                std::fill_n(target(row), lanes, T(0));
        } else if (everything_ || entering.changed(at)) {
            context_.kernels.cast(plan_->enter[at >= first], entering.fetch(at), target(row), lanes);
        }
    }
}

// All of a sample's values decide each one that leaves.
template <class T> void LanePassive<T>::of_samples() {
    Entering<T> entering(*tile_, *layer_);
    const int lanes = tile_->lanes();
    touched_.assign(std::size_t(lanes), everything_);
    entering.each_changed([&](int k) {
        const T *delta = entering.delta(k);
        for (int lane = 0; lane < lanes; ++lane)
            touched_[std::size_t(lane)] = touched_[std::size_t(lane)] || delta[lane];
    });
    entering_.resize(std::size_t(layer_->n_in));
    leaving_.resize(std::size_t(layer_->n_out));
    for (int row = 0; row < layer_->n_out; ++row) {
        T *to = target(row);
        if (!everything_)
            tile_->unpack(context_.golden.leaving(index_), row, to);
    }
    std::vector<const T *> rows;
    for (int k = 0; k < layer_->n_in; ++k)
        rows.push_back(entering.fetch(k));
    for (int lane = 0; lane < lanes; ++lane) {
        if (!touched_[std::size_t(lane)])
            continue;
        for (int k = 0; k < layer_->n_in; ++k)
            entering_[std::size_t(k)] = rows[std::size_t(k)][lane];
        of_sample(*layer_, entering_.data(), leaving_.data());
        for (int row = 0; row < layer_->n_out; ++row)
            tile_->row(index_, row)[lane] = T(leaving_[std::size_t(row)]);
    }
}

template class LanePassive<std::int32_t>;
template class LanePassive<std::int64_t>;

} // namespace codesign::engine
