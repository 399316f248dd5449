#include "lane_elementwise.h"

#include <algorithm>

#include "passive.h"

namespace codesign::engine {

template <class T>
LaneElementwise<T>::LaneElementwise(const LaneContext<T> &context)
    : context_(context), sums_(std::size_t(context.most_lanes)) {
    const std::vector<Layer> &layers = context.model.layers;
    for (int index = 0; index < int(layers.size()); ++index) {
        const Layer *next = index + 1 < int(layers.size()) ? &layers[std::size_t(index) + 1] : nullptr;
        followed_.push_back(next && (is_elementwise(*next) || next->kind == Kind::BATCHNORM) &&
                            next->sources[0] == index && context.model.users(index) == 1);
    }
}

template <class T> void LaneElementwise<T>::rows(int index, int first, int n, const T *values, T *to, int lanes) {
    const LanePlan<T> &plan = context_.plans[std::size_t(index)];
    const Layer &layer = *plan.layer;
    const int size = n * lanes;
    if (layer.kind == Kind::BATCHNORM)
        for (int k = 0; k < n; ++k)
            normalised(plan, (first + k) % layer.neurons, values + k * lanes, to + k * lanes, lanes);
    else if (layer.kind == Kind::RELU || layer.function == Function::LINEAR)
        context_.kernels.cast(plan.leave, values, to, size);
    else if (!plan.table.empty())
        context_.kernels.look_up(plan.table.data(), plan.table_offset, values, to, size);
    else
        std::transform(values, values + size, to, [&](T value) { return T(activated(layer, value)); });
}

template <class T>
void LaneElementwise<T>::normalised(const LanePlan<T> &plan, int neuron, const T *values, T *to, int lanes) {
    const T start = plan.starts[std::size_t(neuron)];
    const T *weight = (plan.layer->exact() ? plan.weights : plan.by_neuron).data() + neuron;
    if (plan.layer->exact()) {
        std::fill_n(sums_.data(), lanes, start);
        context_.kernels.accumulate(&values, &weight, 1, sums_.data(), 1, lanes);
    } else {
        context_.kernels.chain({plan.product, plan.into_sum, &values, weight, 1, 1, start}, sums_.data(), lanes);
    }
    context_.kernels.cast(plan.leave, sums_.data(), to, lanes);
}

template <class T> Int LaneElementwise<T>::value(int index, int row, Int value) const {
    const LanePlan<T> &plan = context_.plans[std::size_t(index)];
    const Layer &layer = *plan.layer;
    if (layer.kind != Kind::BATCHNORM)
        return activated(layer, value);
    const std::size_t neuron = std::size_t(row % layer.neurons);
    const Cast to_leaf(layer.product_frac(), layer.accumulator), to_result(layer.accumulator, layer.result);
    const Int leaf = to_leaf(multiplied(value, plan.by_neuron[neuron]));
    return to_result(fit(added(plan.starts[neuron], leaf), layer.accumulator));
}

template class LaneElementwise<std::int32_t>;
template class LaneElementwise<std::int64_t>;

} // namespace codesign::engine
