#include "strikes.h"

namespace codesign::engine {

namespace {

// The uses of one neuron's (or its recomputation's) unit, at one pixel and pass or at all of them.
void append_of_neuron(const Layer &layer, const Fault &fault, int neuron, int replica, int row,
                      std::vector<Use> &uses) {
    const bool again = layer.recomputes() && replica > 0;
    const int per_pass = again ? layer.protection.dot_size : layer.per_pass;
    const int passes = again ? layer.unit_passes() : layer.reuse;
    const bool always = fault.step == ALL_STEPS;
    const int first = always ? 0 : fault.step, last = always ? layer.pixels * passes - 1 : fault.step;
    for (int step = first; step <= last; ++step) {
        const int place = step % passes * per_pass + fault.position;
        uses.push_back({row + step / passes, neuron, place, std::uint8_t(replica), std::uint8_t(fault.bit),
                        fault.target == PRODUCT});
    }
}

} // namespace

void append_uses(const Layer &layer, const Fault &fault, int row, std::vector<Use> &uses) {
    if (fault.neuron != UNIT)
        return append_of_neuron(layer, fault, fault.neuron, fault.replica, row, uses);
    // A shared unit's fault strikes every neuron that it computes again, both times.
    for (int neuron = 0; neuron < layer.neurons; ++neuron)
        for (int replica = 1; layer.hardened(neuron) && replica < REPLICAS; ++replica)
            append_of_neuron(layer, fault, neuron, replica, row, uses);
}

Voted voted(const Layer &layer, int neuron, const Int copies[REPLICAS]) {
    const Int a = copies[0], b = copies[1], c = copies[2];
    const int cut = layer.protection.cut[std::size_t(neuron)];
    const Int low = (Int(1) << cut) - 1;
    if (layer.protection.mechanism == Mechanism::DMR) {
        const bool differ = ((a ^ b) & ~low) != 0 && layer.hardened(neuron);
        return {differ ? 0 : a, differ}; // zero is the documented safe value
    }
    const bool differ = (((a ^ b) | (a ^ c)) & ~low) != 0 && layer.hardened(neuron);
    const Int majority = (a & b) | (a & c) | (b & c);
    return {wrap((majority & ~low) | (a & low), layer.accumulator), differ};
}

Strike Striker::adder_strike(const Layer &layer, const Use &use) {
    const bool again = layer.recomputes() && use.replica > 0;
    const std::vector<Span> &spans = again ? layer.unit_spans : layer.spans;
    Strike strike{spans[std::size_t(use.place)], use.bit, {}, {}};
    // Bits below the cut exist once, so a fault there is in every virtual replica; a recomputation shares nothing.
    const bool shared = !layer.recomputes() && use.bit < layer.protection.cut[std::size_t(use.neuron)];
    for (int copy = 0; copy < REPLICAS; ++copy)
        strike.hits[copy] = shared || copy == use.replica;
    return strike;
}

Strike Striker::product_strike(const Layer &layer, const Use &use, Int before, Int after) {
    Strike strike{{use.place + 1, use.place + 2}, 0, {}, {}};
    const Int whole = after - before;
    // Below the cut all copies share the multiplier of replica 0.
    const Int below = (Int(1) << layer.protection.cut[std::size_t(use.neuron)]) - 1;
    const Int low = (after & below) - (before & below);
    for (int copy = 0; copy < REPLICAS; ++copy) {
        const bool own = copy == use.replica;
        if (layer.recomputes())
            strike.delta[copy] = own ? whole : 0;
        else if (!layer.protection.own_multipliers)
            strike.delta[copy] = whole;
        else
            strike.delta[copy] = (own ? whole - low : 0) + (use.replica == 0 ? low : 0);
    }
    return strike;
}

void Striker::settle(const Layer &layer, std::size_t k, Int partial) {
    Strike &strike = strikes_[k];
    Int values[REPLICAS] = {partial, partial, partial};
    for (std::size_t earlier = 0; earlier < k; ++earlier) {
        const Strike &inner = strikes_[earlier];
        if (inner.span.first < strike.span.first || inner.span.end > strike.span.end)
            continue;
        for (int copy = 0; copy < REPLICAS; ++copy)
            values[copy] = added(values[copy], inner.delta[copy]);
    }
    for (int copy = 0; copy < REPLICAS; ++copy) {
        if (!strike.hits[copy])
            continue;
        const Int value = wrap(values[copy], layer.accumulator);
        strike.delta[copy] = wrap(value ^ (Int(1) << strike.bit), layer.accumulator) - value;
    }
}

Int Striker::leaf_delta(int leaf, int copy) const {
    Int delta = 0;
    for (const Strike &strike : strikes_)
        if (!strike.on_adder() && strike.span.first == leaf)
            delta = added(delta, strike.delta[copy]);
    return delta;
}

Int Striker::adder_mask(int end, int copy) const {
    Int mask = 0;
    for (const Strike &strike : strikes_)
        if (strike.on_adder() && strike.span.end == end && strike.hits[copy])
            mask ^= Int(1) << strike.bit;
    return mask;
}

} // namespace codesign::engine
