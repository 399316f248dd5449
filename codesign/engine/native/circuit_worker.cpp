#include "circuit.h"

#include <algorithm>

#include "circuit_values.h"
#include "flags.h"
#include "simulator.h"

namespace codesign::engine {

namespace {

constexpr std::int32_t FIRST_CLASSES = 5; // for SDC-5

// How many words come before one: larger ones, and equal ones of a smaller number.
std::int32_t rank_of(const std::vector<Int> &words, std::int32_t one) {
    std::int32_t rank = 0;
    for (std::int32_t k = 0; k < std::int32_t(words.size()); ++k)
        rank += words[std::size_t(k)] > words[std::size_t(one)] ||
                (words[std::size_t(k)] == words[std::size_t(one)] && k < one);
    return rank;
}

} // namespace

// ---------------------------------------------------------------- upsets

CircuitWorker::CircuitWorker(const Circuit &circuit)
    : circuit_(circuit), tables_(circuit.tables), now_(std::size_t(circuit.n_values) * std::size_t(circuit.chunks)),
      differs_(std::size_t(circuit.n_values)), struck_(std::size_t(circuit.n_values)),
      waiting_(circuit.tables.size() / 64 + 1), first_waiting_(waiting_.size()), last_waiting_(0),
      lanes_(std::size_t(circuit.chunks)) {}

codesign_upset_counts CircuitWorker::run(const codesign_upset *upsets, Int n_upsets, const Int *labels) {
    patch(upsets, n_upsets);
    for (int cycle = 0; cycle < circuit_.n_cycles; ++cycle) {
        begin_cycle(cycle);
        sweep(cycle);
        if (cycle + 1 < circuit_.n_cycles)
            end_cycle();
    }
    const codesign_upset_counts counts = count(labels);
    restore();
    return counts;
}

void CircuitWorker::patch(const codesign_upset *upsets, Int n_upsets) {
    for (const codesign_upset *one = upsets; one != upsets + n_upsets; ++one) {
        if (one->bit < 0) {
            strikes_.push_back(*one);
            continue;
        }
        tables_[std::size_t(one->value - circuit_.first_table())].bits ^= std::uint64_t(1) << one->bit;
        patched_.push_back(one->value);
    }
    std::stable_sort(strikes_.begin(), strikes_.end(), [](auto &a, auto &b) { return a.cycle < b.cycle; });
}

void CircuitWorker::restore() {
    for (const std::int32_t value : patched_) {
        const std::size_t table = std::size_t(value - circuit_.first_table());
        tables_[table].bits = circuit_.tables[table].bits;
    }
    for (const std::int32_t value : touched_)
        differs_[std::size_t(value)] = 0;
    patched_.clear();
    touched_.clear();
    strikes_.clear();
    next_strike_ = 0;
}

void CircuitWorker::mark(std::int32_t table) {
    const std::size_t number = std::size_t(table - circuit_.first_table()), word = number / 64;
    waiting_[word] |= std::uint64_t(1) << (number % 64);
    first_waiting_ = std::min(first_waiting_, word);
    last_waiting_ = std::max(last_waiting_, word);
}

// Takes a value of this cycle, which may be the fault-free one.
void CircuitWorker::keep(std::int32_t value, const Lanes *lanes, int cycle) {
    const std::size_t chunks = std::size_t(circuit_.chunks);
    const Lanes *golden = circuit_.golden(value, cycle);
    Lanes difference{};
    for (std::size_t k = 0; k < chunks; ++k)
        difference |= (lanes[k] ^ golden[k]) & circuit_.samples[k];
    if (!(difference[0] | difference[1] | difference[2] | difference[3]))
        return;
    std::copy_n(lanes, chunks, now_.data() + std::size_t(value) * chunks);
    differs_[std::size_t(value)] = 1;
    touched_.push_back(value);
    for (std::int32_t k = circuit_.first_reader[std::size_t(value)]; k < circuit_.first_reader[std::size_t(value) + 1];
         ++k)
        if (const std::int32_t reader = circuit_.readers[std::size_t(k)]; reader >= circuit_.first_table())
            mark(reader);
}

// Registers take what the last cycle left and what strikes them; tables that are other than they were, or are struck
// (as registers that stand for wires are), have to be evaluated.
void CircuitWorker::begin_cycle(int cycle) {
    const std::size_t chunks = std::size_t(circuit_.chunks);
    for (end_of_cycle_ = next_strike_; end_of_cycle_ < strikes_.size(); ++end_of_cycle_) {
        const codesign_upset &one = strikes_[end_of_cycle_];
        if (one.cycle != cycle)
            break;
        struck_[std::size_t(one.value)] = 1;
        if (one.value >= circuit_.first_table())
            mark(one.value);
        else if (std::find(loading_.begin(), loading_.end(), one.value) == loading_.end()) {
            loading_.push_back(one.value);
            const Lanes *golden = circuit_.golden(one.value, cycle);
            loaded_.insert(loaded_.end(), golden, golden + chunks);
        }
    }
    for (const std::int32_t value : patched_)
        mark(value);
    for (std::size_t k = 0; k < loading_.size(); ++k) {
        Lanes *lanes = loaded_.data() + k * chunks;
        if (struck_[std::size_t(loading_[k])])
            strike(loading_[k], lanes);
        keep(loading_[k], lanes, cycle);
    }
    loading_.clear();
    loaded_.clear();
}

void CircuitWorker::strike(std::int32_t value, Lanes *lanes) const {
    for (std::size_t k = next_strike_; k < end_of_cycle_; ++k)
        if (const codesign_upset &one = strikes_[k]; one.value == value)
            lanes[one.sample / LANE_BITS][one.sample % LANE_BITS / 64] ^= std::uint64_t(1) << (one.sample % 64);
}

void CircuitWorker::sweep(int cycle) {
    for (std::size_t word = first_waiting_; word <= last_waiting_ && word < waiting_.size(); ++word)
        while (waiting_[word]) { // a table waits for none behind it
            const int bit = __builtin_ctzll(waiting_[word]);
            waiting_[word] &= waiting_[word] - 1;
            evaluate(circuit_.first_table() + std::int32_t(word * 64) + bit, cycle);
        }
    first_waiting_ = waiting_.size();
    last_waiting_ = 0;
    for (; next_strike_ < end_of_cycle_; ++next_strike_)
        struck_[std::size_t(strikes_[next_strike_].value)] = 0;
}

void CircuitWorker::evaluate(std::int32_t value, int cycle) {
    const Circuit::Table &table = tables_[std::size_t(value - circuit_.first_table())];
    const Lanes *inputs[Circuit::INPUTS];
    for (int input = 0; input < table.n_inputs; ++input)
        inputs[input] = this->value(table.inputs[std::size_t(input)], cycle);
    look_up(table, inputs, circuit_.chunks, lanes_.data());
    if (struck_[std::size_t(value)])
        strike(value, lanes_.data());
    keep(value, lanes_.data(), cycle);
}

void CircuitWorker::end_cycle() {
    const std::size_t chunks = std::size_t(circuit_.chunks);
    for (const std::int32_t value : touched_) {
        const Lanes *lanes = now_.data() + std::size_t(value) * chunks;
        for (std::int32_t k = circuit_.first_reader[std::size_t(value)];
             k < circuit_.first_reader[std::size_t(value) + 1]; ++k)
            if (const std::int32_t reader = circuit_.readers[std::size_t(k)]; reader < circuit_.first_table()) {
                loading_.push_back(reader);
                loaded_.insert(loaded_.end(), lanes, lanes + chunks);
            }
        differs_[std::size_t(value)] = 0;
    }
    touched_.clear();
}

// ---------------------------------------------------------------- what became of the samples

codesign_upset_counts CircuitWorker::count(const Int *labels) const {
    const int cycle = circuit_.n_cycles - 1;
    codesign_upset_counts counts{};
    for (int sample = 0; sample < circuit_.n_samples; ++sample)
        counts.correct += circuit_.top[std::size_t(sample)] == labels[sample];
    for (int chunk = 0; chunk < circuit_.chunks; ++chunk) {
        Lanes others = value(circuit_.ready, cycle)[chunk] ^ circuit_.golden(circuit_.ready, cycle)[chunk];
        for (const std::int32_t bit : circuit_.outputs)
            if (differs_[std::size_t(bit)])
                others |= value(bit, cycle)[chunk] ^ circuit_.golden(bit, cycle)[chunk];
        Lanes raised[] = {Lanes{}, Lanes{}, Lanes{}};
        for (const Circuit::Flag &flag : circuit_.flags)
            raised[flag.kind] |= value(flag.value, cycle)[chunk];
        const Lanes seen = (others | raised[CORRECTED] | raised[DETECTED]) & circuit_.samples[std::size_t(chunk)];
        for (int word = 0; word < LANE_WORDS; ++word)
            for (std::uint64_t left = seen[word]; left; left &= left - 1) {
                const int bit = __builtin_ctzll(left);
                const auto has = [&](const Lanes &lanes) { return std::uint8_t(lanes[word] >> bit & 1); };
                const std::uint8_t flags =
                    std::uint8_t(has(raised[CORRECTED]) * CORRECTED | has(raised[DETECTED]) * DETECTED);
                const int sample = chunk * LANE_BITS + word * 64 + bit;
                counts.flagged += flags != 0;
                counts.detected += (flags & DETECTED) != 0;
                if (has(others))
                    count(sample, flags, labels[sample], counts);
                else
                    counts.corrected += flags == CORRECTED;
            }
    }
    return counts;
}

// A sample of which some word of the output is another one, or which no `ready` announces.
void CircuitWorker::count(int sample, std::uint8_t flags, Int label, codesign_upset_counts &counts) const {
    const int cycle = circuit_.n_cycles - 1;
    const auto bit_of = [&](std::int32_t value) {
        return this->value(value, cycle)[sample / LANE_BITS][sample % LANE_BITS / 64] >> (sample % 64) & 1;
    };
    const std::int32_t before = circuit_.top[std::size_t(sample)];
    std::int32_t top = -1, rank = FIRST_CLASSES;
    if (bit_of(circuit_.ready)) {
        const std::vector<Int> logits = words_of(circuit_, bit_of);
        top = top_of(logits.data(), circuit_.n_out);
        rank = rank_of(logits, before);
    } else {
        ++counts.lost;
    }
    ++counts.changed;
    counts.correct += int(top == label) - int(before == label);
    counts.sdc1 += top != before;
    counts.sdc5 += rank >= FIRST_CLASSES;
    counts.silent += top != before && !(flags & DETECTED);
    counts.corrected += top == before && flags == CORRECTED;
}

} // namespace codesign::engine
