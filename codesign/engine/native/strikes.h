// What faults inside a neuron do to its sum: the twin of codesign/engine/strikes.py, one neuron at a time.
//
// An adder's fault is a delta of plus or minus 2**bit on the fault-free sum; its sign is the flipped bit of one
// partial sum, found from the adder's span. Sums that saturate are added up again, leaf by leaf.
#ifndef CODESIGN_ENGINE_STRIKES_H_
#define CODESIGN_ENGINE_STRIKES_H_

#include <algorithm>
#include <vector>

#include "model.h"

namespace codesign::engine {

// A single use of a struck multiplier or adder. `place` counts those of all passes of a pixel.
struct Use {
    std::int32_t row; // sample * pixels + pixel
    std::int32_t neuron, place;
    std::uint8_t replica, bit;
    bool on_product;

    bool same_neuron(const Use &other) const { return row == other.row && neuron == other.neuron; }
    bool operator<(const Use &other) const { return row != other.row ? row < other.row : neuron < other.neuron; }
};

// Appends the uses of a unit that a fault strikes in one sample whose first row is `row`.
void append_uses(const Layer &layer, const Fault &fault, int row, std::vector<Use> &uses);

// What a voter makes of the copies of a sum, and whether they differ in hardened bits.
struct Voted {
    Int sum;
    bool differ;
};

// Bits from the cut up are hardened. Of them the bitwise majority counts, below it the first replica.
Voted voted(const Layer &layer, int neuron, const Int copies[REPLICAS]);

// A fault in the tree of a neuron's sum: a struck adder flips `bit` in the replicas that `hits` marks; a struck
// product is a leaf, with a span of one, and adds `delta` to each replica.
struct Strike {
    Span span;
    int bit;
    bool hits[REPLICAS];
    Int delta[REPLICAS];
    bool on_adder() const { return span.size() > 1; }
};

// `N` is what finds products, leaves and partial sums: see LaneNeuron in lane_strikes.cpp.
class Striker {
  public:
    // The voted sum of a neuron that the uses [first, last) strike; fault-free it is `sum`.
    template <class N> Voted struck(const Layer &layer, const Use *first, const Use *last, Int sum, const N &neuron) {
        if (strikes_one_copy(layer, first, last))
            return {flipped(layer, first, last, sum, neuron), false};
        strikes_.clear();
        collect_products(layer, first, last, neuron);
        for (const Use *use = first; use != last; ++use)
            if (!use->on_product)
                strikes_.push_back(adder_strike(layer, *use));
        return layer.saturates() ? chained(layer, first->neuron, neuron) : summed(layer, first->neuron, sum, neuron);
    }

  private:
    // Nothing is hardened, so only the first copy counts, and only adders of sums that wrap are struck.
    static bool strikes_one_copy(const Layer &layer, const Use *first, const Use *last) {
        return !layer.saturates() && !layer.hardened(first->neuron) &&
               std::none_of(first, last, [](const Use &use) { return use.on_product; });
    }

    // The shortest spans first: an adder's bit is flipped in what the flips before it have left.
    template <class N> Int flipped(const Layer &layer, const Use *first, const Use *last, Int sum, const N &neuron) {
        flips_.clear();
        for (const Use *use = first; use != last; ++use) {
            if (layer.recomputes() && use->replica > 0)
                continue;
            const Span span = layer.spans[std::size_t(use->place)];
            std::size_t at = flips_.size();
            flips_.emplace_back();
            for (; at > 0 && flips_[at - 1].span.size() > span.size(); --at)
                flips_[at] = flips_[at - 1];
            flips_[at] = {span, use->bit, 0};
        }
        for (std::size_t k = 0; k < flips_.size(); ++k) {
            Flip &flip = flips_[k];
            Int value = neuron.partial(flip.span);
            for (std::size_t earlier = 0; earlier < k; ++earlier) {
                const Flip &inner = flips_[earlier];
                const bool within = inner.span.first >= flip.span.first && inner.span.end <= flip.span.end;
                value = added(value, within ? inner.delta : 0);
            }
            const Word one = Word(1) << flip.bit;
            flip.delta = Int(Word(value) & one ? -one : one);
            sum = added(sum, flip.delta);
        }
        return wrap(sum, layer.accumulator);
    }

    static Strike adder_strike(const Layer &layer, const Use &use);
    static Strike product_strike(const Layer &layer, const Use &use, Int before, Int after);

    // All flips of one product together: they do not add up bit by bit where the cast rounds.
    template <class N> void collect_products(const Layer &layer, const Use *first, const Use *last, const N &neuron) {
        products_.clear();
        for (const Use *use = first; use != last; ++use)
            if (use->on_product)
                products_.push_back(*use);
        if (products_.empty())
            return;
        std::sort(products_.begin(), products_.end(), [](const Use &a, const Use &b) {
            return a.place != b.place ? a.place < b.place : a.replica < b.replica;
        });
        const FixedPoint type = layer.product_type();
        const Cast to_leaf(type.frac, layer.accumulator);
        for (std::size_t k = 0; k < products_.size();) {
            const Use use = products_[k];
            Word mask = 0;
            for (; k < products_.size() && products_[k].place == use.place && products_[k].replica == use.replica; ++k)
                mask ^= Word(1) << products_[k].bit;
            const Int product = neuron.product(use.place);
            const Int struck = wrap(Int(Word(product) ^ mask), type);
            strikes_.push_back(product_strike(layer, use, to_leaf(product), to_leaf(struck)));
        }
    }

    // Sums that wrap: every strike adds a delta, wherever it is in the tree.
    template <class N> Voted summed(const Layer &layer, int number, Int sum, const N &neuron) {
        // A descendant's span is shorter than its ancestor's: this order is one in which the tree works.
        std::stable_sort(strikes_.begin(), strikes_.end(), [](const Strike &a, const Strike &b) {
            return a.span.size() != b.span.size() ? a.span.size() < b.span.size() : a.span.first < b.span.first;
        });
        Int copies[REPLICAS] = {sum, sum, sum};
        for (std::size_t k = 0; k < strikes_.size(); ++k) {
            Strike &strike = strikes_[k];
            if (strike.on_adder())
                settle(layer, k, neuron.partial(strike.span));
            for (int copy = 0; copy < REPLICAS; ++copy)
                copies[copy] = added(copies[copy], strike.delta[copy]);
        }
        for (Int &copy : copies)
            copy = wrap(copy, layer.accumulator);
        return voted(layer, number, copies);
    }

    // The delta of a struck adder, given the fault-free sum of its span and all strikes before it.
    void settle(const Layer &layer, std::size_t k, Int partial);

    template <class N> Voted chained(const Layer &layer, int number, const N &neuron) {
        Int copies[REPLICAS];
        for (int copy = 0; copy < REPLICAS; ++copy)
            copies[copy] = added(neuron.leaf(0), leaf_delta(0, copy));
        for (int index = 1; index <= layer.fan_in; ++index) {
            const Int leaf = neuron.leaf(index);
            for (int copy = 0; copy < REPLICAS; ++copy) {
                const Int total = added(copies[copy], added(leaf, leaf_delta(index, copy)));
                const Int mask = adder_mask(index + 1, copy);
                copies[copy] = fit(total, layer.accumulator);
                if (mask)
                    copies[copy] = wrap(copies[copy] ^ mask, layer.accumulator);
            }
        }
        return voted(layer, number, copies);
    }

    Int leaf_delta(int leaf, int copy) const;
    Int adder_mask(int end, int copy) const;

    struct Flip {
        Span span;
        int bit;
        Int delta; // modulo the accumulator's range
    };

    std::vector<Flip> flips_;
    std::vector<Strike> strikes_;
    std::vector<Use> products_;
};

} // namespace codesign::engine

#endif
