#include "packed_worker.h"

#include <algorithm>
#include <numeric>

namespace codesign::engine {

namespace {

template <class Item> void sort_if_needed(std::vector<Item> &items) {
    if (!std::is_sorted(items.begin(), items.end()))
        std::stable_sort(items.begin(), items.end());
}

// A flip in a layer's rows as one in its block's: behind a reshape they are not the same.
Flip in_block(const Block &block, const Layer &layer, Flip flip) {
    if (layer.neurons == block.neurons)
        return flip;
    const Int value = Int(flip.row) * layer.neurons + flip.neuron;
    flip.row = std::int32_t(value / block.neurons);
    flip.neuron = std::int32_t(value % block.neurons);
    return flip;
}

} // namespace

void PackedWorker::Struck::clear() {
    stored.clear();
    changed.clear();
    uses.clear();
    persistent.clear();
    votes.clear();
    flips.clear();
    persistent_votes.clear();
    persistent_flips.clear();
    adders.clear();
    next_use = next_adder = next_vote = next_flip = 0;
    used = false;
}

void PackedWorker::sort_faults(const Fault *faults, std::size_t n_faults) {
    for (std::size_t k = 0; k < n_faults; ++k) {
        const Fault &fault = faults[k];
        const std::size_t b = std::size_t(block_of_[std::size_t(fault.layer)]);
        Struck &struck = struck_[b];
        struck.used = true;
        if (fault.target == WEIGHT || fault.target == BIAS)
            struck.stored.push_back(&fault);
        else if (fault.target == ACTIVATION || fault.target == VOTER)
            add_flip(fault, b);
        else if (fault.sample == ALL_SAMPLES)
            struck.persistent.push_back(&fault);
        else
            append_uses(*blocks_[b].layer, fault, fault.sample * blocks_[b].pixels, struck.uses);
    }
}

// Adders and multipliers of one sum belong together.
void PackedWorker::join_adders(Struck &struck) {
    if (struck.adders.empty() || (struck.uses.empty() && struck.persistent.empty()))
        return;
    for (const StruckAdder &adder : struck.adders)
        struck.uses.push_back({adder.row, adder.neuron, adder.place, 0, std::uint8_t(adder.bit), false});
    struck.adders.clear();
    std::stable_sort(struck.uses.begin(), struck.uses.end());
}

void PackedWorker::settle_faults() {
    first_block_ = blocks_.size();
    for (std::size_t b = blocks_.size(); b-- > 0;) {
        Struck &struck = struck_[b];
        if (!struck.used)
            continue;
        first_block_ = b;
        sort_if_needed(struck.uses);
        sort_if_needed(struck.votes);
        sort_if_needed(struck.flips);
        join_adders(struck);
        const Block &block = blocks_[b];
        if (!struck.stored.empty())
            outcome_.flags.raise_everywhere(changed_parameters(*block.layer, struck.stored, struck.changed));
        for (const ChangedParameter &p : struck.changed) {
            if (p.target == WEIGHT)
                set_weight(block, p.operand, p.neuron, p.before, p.after, parameters_[b]);
            else
                set_bias(block, p.neuron, p.before, p.after, parameters_[b]);
        }
    }
}

bool PackedWorker::draw_adders(const FaultSpace &space, const Segment &segment, Int trial) {
    const std::size_t b = std::size_t(block_of_[std::size_t(segment.layer)]);
    const Block &block = blocks_[b];
    if (segment.target != ACCUMULATOR || !segment.steps || !segment.uniform || !block.plain_adders())
        return false;
    Struck &struck = struck_[b];
    Bernoulli drawn = space.bernoulli(segment, trial, kernels_);
    Int numbers[Bernoulli::MOST];
    Decoded decoded[Bernoulli::MOST];
    const int reuse = block.layer->reuse, per_pass = block.layer->per_pass;
    while (const int n = drawn.next(numbers)) {
        struck.used = true;
        kernels_.decode(segment.decoder, numbers, n, std::int32_t(segment.lowest[0]), decoded);
        const std::size_t from = struck.adders.size();
        struck.adders.resize(from + std::size_t(n));
        for (int k = 0; k < n; ++k) {
            const Decoded &fault = decoded[k];
            // A step of a dense layer is a pass.
            const std::int32_t sample = reuse == 1 ? fault.time : fault.time / reuse;
            const std::int32_t place = reuse == 1 ? fault.position : fault.time % reuse * per_pass + fault.position;
            struck.adders[from + std::size_t(k)] = {sample, fault.neuron, place, fault.bit};
        }
    }
    if (reuse > 1)
        std::stable_sort(struck.adders.begin(), struck.adders.end(), [](const StruckAdder &a, const StruckAdder &b) {
            return a.row != b.row ? a.row < b.row : a.neuron < b.neuron;
        });
    return true;
}

bool PackedWorker::draw_flips(const FaultSpace &space, const Segment &segment, Int trial) {
    if ((segment.target != VOTER && segment.target != ACTIVATION) || !segment.steps || !segment.uniform)
        return false;
    const std::size_t b = std::size_t(block_of_[std::size_t(segment.layer)]);
    const Block &block = blocks_[b];
    const int stage = block.pools ? 0 : block.chain.stage(segment.layer);
    const Layer &layer = simulator_.model().layers[std::size_t(segment.layer)];
    Struck &struck = struck_[b];
    std::vector<Flip> &flips = segment.target == VOTER ? struck.votes : struck.flips;
    Bernoulli drawn = space.bernoulli(segment, trial, kernels_);
    Int numbers[Bernoulli::MOST];
    Decoded decoded[Bernoulli::MOST];
    while (const int n = drawn.next(numbers)) {
        struck.used = true;
        kernels_.decode(segment.decoder, numbers, n, std::int32_t(segment.lowest[0]), decoded);
        const std::size_t from = flips.size();
        flips.resize(from + std::size_t(n));
        for (int k = 0; k < n; ++k)
            flips[from + std::size_t(k)] =
                in_block(block, layer, {decoded[k].time, decoded[k].neuron, stage, decoded[k].bit});
    }
    return true;
}

bool PackedWorker::draw_parameters(const FaultSpace &space, const Segment &segment, Int trial) {
    const std::size_t b = std::size_t(block_of_[std::size_t(segment.layer)]);
    const Layer &layer = simulator_.model().layers[std::size_t(segment.layer)];
    const bool stored = segment.target == WEIGHT || segment.target == BIAS;
    if (!stored || !segment.uniform || layer.protection.code != Code::NONE)
        return false;
    Struck &struck = struck_[b];
    Bernoulli drawn = space.bernoulli(segment, trial, kernels_);
    Int numbers[Bernoulli::MOST];
    Decoded decoded[Bernoulli::MOST];
    Decoded word{0, 0, 0, 0};
    Word mask = 0; // of the bits of `word`, which come one after the other
    const auto finish = [&] {
        const Word masks[REPLICAS] = {mask, 0, 0};
        if (mask)
            append_changed(layer, Target(segment.target), word.position, word.neuron, masks, struck.changed);
    };
    while (const int n = drawn.next(numbers)) {
        struck.used = true;
        kernels_.decode(segment.decoder, numbers, n, std::int32_t(segment.lowest[0]), decoded);
        for (int k = 0; k < n; ++k) {
            if (decoded[k].neuron != word.neuron || decoded[k].position != word.position) {
                finish();
                mask = 0;
                word = decoded[k];
            }
            mask ^= Word(1) << decoded[k].bit;
        }
    }
    finish();
    return true;
}

void PackedWorker::add_flip(const Fault &fault, std::size_t b) {
    const Block &block = blocks_[b];
    const bool votes = fault.target == VOTER;
    const int stage = votes || block.pools ? 0 : block.chain.stage(fault.layer);
    const Layer &layer = simulator_.model().layers[std::size_t(fault.layer)];
    const bool always = fault.step == ALL_STEPS, everywhere = fault.sample == ALL_SAMPLES;
    const int first = always ? 0 : fault.step, last = always ? layer.pixels - 1 : fault.step;
    const int start = everywhere ? 0 : fault.sample * layer.pixels;
    Struck &struck = struck_[b];
    std::vector<Flip> &flips = everywhere ? (votes ? struck.persistent_votes : struck.persistent_flips)
                                          : (votes ? struck.votes : struck.flips);
    for (int pixel = first; pixel <= last; ++pixel)
        flips.push_back(in_block(block, layer, {start + pixel, fault.neuron, stage, fault.bit}));
}

void PackedWorker::collect_flips(const Block &block, int first, int end, const std::vector<Flip> &persistent,
                                 const std::vector<Flip> &flips, std::size_t &next, std::vector<Flip> &room,
                                 const Flip *&begin, const Flip *&finish) {
    const int rows_end = end * block.pixels;
    begin = flips.data() + next;
    while (next < flips.size() && flips[next].row < rows_end)
        ++next;
    finish = flips.data() + next;
    if (persistent.empty())
        return;
    room.assign(begin, finish);
    for (int sample = first; sample < end; ++sample)
        for (Flip flip : persistent) {
            flip.row += sample * block.pixels;
            room.push_back(flip);
        }
    std::stable_sort(room.begin(), room.end());
    begin = room.data();
    finish = begin + room.size();
}

void PackedWorker::collect(std::size_t number, int first, int end) {
    const Block &block = blocks_[number];
    Struck &struck = struck_[number];
    const int rows_end = end * block.pixels;
    const std::size_t use = struck.next_use, adder = struck.next_adder;
    while (struck.next_adder < struck.adders.size() && struck.adders[struck.next_adder].row < end)
        ++struck.next_adder;
    adder_ = struck.adders.data() + adder;
    adder_end_ = struck.adders.data() + struck.next_adder;
    while (struck.next_use < struck.uses.size() && struck.uses[struck.next_use].row < rows_end)
        ++struck.next_use;
    use_ = struck.uses.data() + use;
    use_end_ = struck.uses.data() + struck.next_use;
    if (!struck.persistent.empty()) {
        all_uses_.assign(use_, use_end_);
        for (int sample = first; sample < end; ++sample)
            for (const Fault *fault : struck.persistent)
                append_uses(*block.layer, *fault, sample * block.pixels, all_uses_);
        std::stable_sort(all_uses_.begin(), all_uses_.end());
        use_ = all_uses_.data();
        use_end_ = use_ + all_uses_.size();
    }
    collect_flips(block, first, end, struck.persistent_votes, struck.votes, struck.next_vote, all_votes_, vote_,
                  vote_end_);
    collect_flips(block, first, end, struck.persistent_flips, struck.flips, struck.next_flip, all_flips_, flip_,
                  flip_end_);
}

void PackedWorker::find_touched(std::size_t number, int first, int end) {
    const Block &block = blocks_[number];
    if (struck_[number].everywhere()) {
        touched_.resize(std::size_t(end - first));
        std::iota(touched_.begin(), touched_.end(), first);
        return;
    }
    const Rows *entering = number ? &rows_[number - 1] : nullptr;
    const std::int32_t *samples = entering ? entering->samples.data() : nullptr;
    const int n_samples = entering ? entering->n : 0;
    if (unstruck()) {
        touched_.assign(samples, samples + n_samples);
        return;
    }
    Quotient sample_of(block.pixels);
    const auto each = [&](auto found) {
        std::for_each(samples, samples + n_samples, found);
        std::for_each(use_, use_end_, [&](const Use &use) { found(std::int32_t(sample_of(use.row))); });
        std::for_each(adder_, adder_end_, [&](const StruckAdder &adder) { found(adder.row); });
        std::for_each(vote_, vote_end_, [&](const Flip &vote) { found(std::int32_t(sample_of(vote.row))); });
        std::for_each(flip_, flip_end_, [&](const Flip &flip) { found(std::int32_t(sample_of(flip.row))); });
    };
    constexpr std::ptrdiff_t FEW = 24; // are sorted faster than all samples are looked at
    if (n_samples + (use_end_ - use_) + (adder_end_ - adder_) + (vote_end_ - vote_) + (flip_end_ - flip_) <= FEW) {
        touched_.clear();
        each([&](std::int32_t sample) { touched_.push_back(sample); });
        std::sort(touched_.begin(), touched_.end());
        touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
        return;
    }
    std::fill_n(touch_.begin(), end - first, std::uint8_t(0));
    each([&](std::int32_t sample) { touch_[std::size_t(sample - first)] = 1; });
    touched_.resize(std::size_t(end - first));
    const std::int32_t *last = kernels_.differing(touch_.data(), zeros_.data(), end - first, first, touched_.data());
    touched_.resize(std::size_t(last - touched_.data()));
}

} // namespace codesign::engine
