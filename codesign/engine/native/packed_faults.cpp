#include "packed_worker.h"

#include <algorithm>
#include <numeric>

namespace codesign::engine {

namespace {

template <class Item> void sort_if_needed(std::vector<Item> &items) {
    if (!std::is_sorted(items.begin(), items.end()))
        std::stable_sort(items.begin(), items.end());
}

} // namespace

void PackedWorker::Struck::clear() {
    stored.clear();
    changed.clear();
    uses.clear();
    persistent.clear();
    flips.clear();
    persistent_flips.clear();
    adders.clear();
    next_use = next_adder = next_flip = 0;
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
        sort_if_needed(struck.flips);
        join_adders(struck);
        if (struck.stored.empty())
            continue;
        const Block &block = blocks_[b];
        changed_parameters(*block.layer, struck.stored, struck.changed);
        for (const ChangedParameter &p : struck.changed) {
            if (p.target == WEIGHT)
                set_weight(block, p.index / block.neurons, p.index % block.neurons, p.before, p.after, parameters_[b]);
            else
                set_bias(block, p.index, p.before, p.after, parameters_[b]);
        }
    }
}

bool PackedWorker::draw_adders(const FaultSpace &space, const Segment &segment, Int trial) {
    const std::size_t b = std::size_t(block_of_[std::size_t(segment.layer)]);
    const Block &block = blocks_[b];
    if (segment.target != ACCUMULATOR || !segment.steps || !segment.uniform || !block.plain_adders())
        return false;
    Struck &struck = struck_[b];
    struck.used = true;
    Bernoulli drawn = space.bernoulli(segment, trial, kernels_);
    Int numbers[Bernoulli::MOST];
    Decoded decoded[Bernoulli::MOST];
    const int reuse = block.layer->reuse, per_pass = block.layer->per_pass;
    while (const int n = drawn.next(numbers)) {
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
    const Layer &layer = simulator_.model().layers[std::size_t(segment.layer)];
    const int stage = segment.target == VOTER ? -1 : block.pools ? 0 : block.chain.stage(segment.layer);
    Struck &struck = struck_[b];
    struck.used = true;
    Bernoulli drawn = space.bernoulli(segment, trial, kernels_);
    Int numbers[Bernoulli::MOST];
    Decoded decoded[Bernoulli::MOST];
    while (const int n = drawn.next(numbers)) {
        kernels_.decode(segment.decoder, numbers, n, std::int32_t(segment.lowest[0]), decoded);
        for (int k = 0; k < n; ++k)
            struck.flips.push_back({Int(decoded[k].time) * layer.neurons + decoded[k].neuron, stage, decoded[k].bit});
    }
    return true;
}

void PackedWorker::add_flip(const Fault &fault, std::size_t b) {
    const Block &block = blocks_[b];
    const Layer &layer = simulator_.model().layers[std::size_t(fault.layer)];
    const int stage = fault.target == VOTER ? -1 : block.pools ? 0 : block.chain.stage(fault.layer);
    const bool always = fault.step == ALL_STEPS, everywhere = fault.sample == ALL_SAMPLES;
    const int first = always ? 0 : fault.step, last = always ? layer.pixels - 1 : fault.step;
    const Int start = everywhere ? 0 : Int(fault.sample) * block.n_out;
    for (int pixel = first; pixel <= last; ++pixel) {
        const Int at = start + Int(pixel) * layer.neurons + fault.neuron;
        (everywhere ? struck_[b].persistent_flips : struck_[b].flips).push_back({at, stage, fault.bit});
    }
}

void PackedWorker::collect(std::size_t number, int first, int end) {
    const Block &block = blocks_[number];
    Struck &struck = struck_[number];
    const Int rows_end = Int(end) * block.pixels, values_end = Int(end) * block.n_out;
    const std::size_t use = struck.next_use, flip = struck.next_flip, adder = struck.next_adder;
    while (struck.next_adder < struck.adders.size() && struck.adders[struck.next_adder].row < end)
        ++struck.next_adder;
    adder_ = struck.adders.data() + adder;
    adder_end_ = struck.adders.data() + struck.next_adder;
    while (struck.next_use < struck.uses.size() && struck.uses[struck.next_use].row < rows_end)
        ++struck.next_use;
    while (struck.next_flip < struck.flips.size() && struck.flips[struck.next_flip].at < values_end)
        ++struck.next_flip;
    use_ = struck.uses.data() + use;
    use_end_ = struck.uses.data() + struck.next_use;
    flip_ = struck.flips.data() + flip;
    flip_end_ = struck.flips.data() + struck.next_flip;
    if (!struck.persistent.empty()) {
        all_uses_.assign(use_, use_end_);
        for (int sample = first; sample < end; ++sample)
            for (const Fault *fault : struck.persistent)
                append_uses(*block.layer, *fault, sample * block.pixels, all_uses_);
        std::stable_sort(all_uses_.begin(), all_uses_.end());
        use_ = all_uses_.data();
        use_end_ = use_ + all_uses_.size();
    }
    if (!struck.persistent_flips.empty()) {
        all_flips_.assign(flip_, flip_end_);
        for (int sample = first; sample < end; ++sample)
            for (Flip flip_of_all : struck.persistent_flips) {
                flip_of_all.at += Int(sample) * block.n_out;
                all_flips_.push_back(flip_of_all);
            }
        std::stable_sort(all_flips_.begin(), all_flips_.end());
        flip_ = all_flips_.data();
        flip_end_ = flip_ + all_flips_.size();
    }
}

void PackedWorker::find_touched(std::size_t number, int first, int end) {
    const Block &block = blocks_[number];
    touched_.clear();
    if (struck_[number].everywhere()) {
        touched_.resize(std::size_t(end - first));
        std::iota(touched_.begin(), touched_.end(), first);
        return;
    }
    const Rows *entering = number ? &rows_[number - 1] : nullptr;
    if (entering && use_ == use_end_ && adder_ == adder_end_ && flip_ == flip_end_) {
        touched_.assign(entering->samples.begin(), entering->samples.begin() + entering->n);
        return;
    }
    std::fill_n(touch_.begin(), end - first, std::uint8_t(0));
    for (int r = 0; entering && r < entering->n; ++r)
        touch_[std::size_t(entering->samples[std::size_t(r)] - first)] = 1;
    Quotient sample_of_row(block.pixels), sample_of_value(block.n_out);
    for (const Use *use = use_; use != use_end_; ++use)
        touch_[std::size_t(sample_of_row(use->row) - first)] = 1;
    for (const StruckAdder *adder = adder_; adder != adder_end_; ++adder)
        touch_[std::size_t(adder->row - first)] = 1;
    for (const Flip *flip = flip_; flip != flip_end_; ++flip)
        touch_[std::size_t(sample_of_value(flip->at) - first)] = 1;
    for (int sample = first; sample < end; ++sample)
        if (touch_[std::size_t(sample - first)])
            touched_.push_back(sample);
}

} // namespace codesign::engine
