#include "circuit.h"

#include <algorithm>
#include <stdexcept>

#include "flags.h"
#include "simulator.h"

namespace codesign::engine {

namespace {

constexpr std::size_t MOST_BYTES = std::size_t(3) << 30;
constexpr std::int32_t FIRST_CLASSES = 5; // for SDC-5

Lanes everywhere(bool bit) { return Lanes{} - std::uint64_t(bit); }

// A table's output, Shannon's expansion: the last input decides between the table's halves.
template <int K> inline Lanes looked_up(std::uint64_t bits, const Lanes *const *inputs, int chunk) {
    const Lanes input = inputs[K - 1][chunk];
    if constexpr (K == 1) {
        const Lanes low = Lanes{} - (bits & 1), high = Lanes{} - (bits >> 1 & 1);
        return low ^ ((low ^ high) & input);
    } else {
        const Lanes low = looked_up<K - 1>(bits, inputs, chunk);
        const Lanes high = looked_up<K - 1>(bits >> (1 << (K - 1)), inputs, chunk);
        return low ^ ((low ^ high) & input);
    }
}

template <int K> void look_up(std::uint64_t bits, const Lanes *const *inputs, int chunks, Lanes *result) {
    for (int chunk = 0; chunk < chunks; ++chunk)
        result[chunk] = looked_up<K>(bits, inputs, chunk);
}

void look_up(const Circuit::Table &table, const Lanes *const *inputs, int chunks, Lanes *result) {
    using Function = void (*)(std::uint64_t, const Lanes *const *, int, Lanes *);
    static constexpr Function OF[] = {look_up<1>, look_up<2>, look_up<3>, look_up<4>, look_up<5>, look_up<6>};
    OF[table.n_inputs - 1](table.bits, inputs, chunks, result);
}

// The words that a sample leaves, given what each bit's value is.
template <class Bit> std::vector<Int> words_of(const Circuit &circuit, Bit bit_of) {
    std::vector<Int> words;
    for (int k = 0; k < circuit.n_out; ++k) {
        const std::int32_t *values = circuit.outputs.data() + std::size_t(k) * std::size_t(circuit.width);
        Word word = 0;
        for (int bit = 0; bit < circuit.width; ++bit)
            word |= Word(bit_of(values[bit])) << bit;
        const Word sign = Word(circuit.is_signed) << (circuit.width - 1);
        words.push_back(Int((word ^ sign) - sign));
    }
    return words;
}

// How many words come before one: larger ones, and equal ones of a smaller number.
std::int32_t rank_of(const std::vector<Int> &words, std::int32_t one) {
    std::int32_t rank = 0;
    for (std::int32_t k = 0; k < std::int32_t(words.size()); ++k)
        rank += words[std::size_t(k)] > words[std::size_t(one)] ||
                (words[std::size_t(k)] == words[std::size_t(one)] && k < one);
    return rank;
}

void require(bool holds, const char *what) {
    if (!holds)
        throw std::invalid_argument(what);
}

} // namespace

// ---------------------------------------------------------------- the circuit

Circuit::Circuit(const codesign_circuit_description &of) {
    read(of);
    link();
    run(of);
}

void Circuit::read(const codesign_circuit_description &of) {
    n_sources = int(of.n_sources);
    n_registers = int(of.n_registers);
    n_values = int(of.n_values);
    n_cycles = int(of.n_cycles);
    n_samples = int(of.n_samples);
    chunks = (n_samples + LANE_BITS - 1) / LANE_BITS;
    require(n_sources >= 2 && n_registers >= 0 && n_values >= first_table() && n_cycles > 0 && n_samples > 0,
            "a circuit needs constants, a cycle and a sample");
    const auto exists = [this](std::int32_t value) { return value >= 0 && value < n_values; };
    data.assign(of.data, of.data + n_registers);
    initial.assign(of.initial, of.initial + n_registers);
    tables.resize(std::size_t(n_values - first_table()));
    for (std::size_t k = 0; k < tables.size(); ++k) {
        Table &table = tables[k];
        table.bits = of.tables[k];
        table.n_inputs = of.n_inputs[k];
        require(table.n_inputs >= 1 && table.n_inputs <= INPUTS, "a table has one to six inputs");
        std::copy_n(of.inputs + k * INPUTS, INPUTS, table.inputs.begin());
        for (int input = 0; input < table.n_inputs; ++input)
            require(table.inputs[std::size_t(input)] >= 0 &&
                        table.inputs[std::size_t(input)] < first_table() + std::int32_t(k),
                    "a table reads what stands behind it");
    }
    n_out = int(of.n_out);
    width = int(of.width);
    is_signed = of.is_signed != 0;
    require(n_out > 0 && width > 0 && width < 64, "a circuit gives words of 1 to 63 bits");
    outputs.assign(of.outputs, of.outputs + of.n_out * of.width);
    ready = of.ready;
    for (Int k = 0; k < of.n_flags; ++k)
        flags.push_back({of.flags[k], of.flag_kinds[k]});
    require(std::all_of(data.begin(), data.end(), exists) && std::all_of(outputs.begin(), outputs.end(), exists) &&
                exists(ready) && std::all_of(flags.begin(), flags.end(), [&](Flag f) { return exists(f.value); }) &&
                std::all_of(of.entering, of.entering + of.n_entering,
                            [&](std::int32_t value) { return value >= 2 && value < n_sources; }),
            "a value does not exist");
}

void Circuit::link() {
    std::vector<std::int32_t> counts(std::size_t(n_values) + 1);
    const auto each = [this](auto &&told) {
        for (std::size_t k = 0; k < tables.size(); ++k)
            for (int input = 0; input < tables[k].n_inputs; ++input)
                told(tables[k].inputs[std::size_t(input)], first_table() + std::int32_t(k));
        for (int k = 0; k < n_registers; ++k)
            told(data[std::size_t(k)], n_sources + k);
    };
    each([&](std::int32_t source, std::int32_t) { ++counts[std::size_t(source) + 1]; });
    for (std::size_t k = 1; k < counts.size(); ++k)
        counts[k] += counts[k - 1];
    first_reader = counts;
    readers.resize(std::size_t(counts.back()));
    each([&](std::int32_t source, std::int32_t reader) {
        readers[std::size_t(counts[std::size_t(source)]++)] = reader;
    });
}

void Circuit::run(const codesign_circuit_description &of) {
    const std::size_t lanes = std::size_t(n_cycles) * std::size_t(n_values) * std::size_t(chunks);
    require(lanes <= MOST_BYTES / sizeof(Lanes), "the fault-free run of this circuit needs more than 3 GiB: give fewer "
                                                 "samples");
    golden_.assign(lanes, Lanes{});
    for (int sample = 0; sample < chunks * LANE_BITS; ++sample) {
        if (sample % LANE_BITS == 0)
            samples.push_back(Lanes{});
        if (sample < n_samples)
            samples.back()[sample % LANE_BITS / 64] |= std::uint64_t(1) << (sample % 64);
    }
    const Int n_words = Int(chunks) * LANE_WORDS;
    for (int cycle = 0; cycle < n_cycles; ++cycle) {
        std::fill_n(at(1, cycle), chunks, everywhere(true));
        for (Int k = 0; k < of.n_entering; ++k) {
            const std::uint64_t *wave = of.waves + (cycle * of.n_entering + k) * n_words;
            for (Int word = 0; word < n_words; ++word)
                at(of.entering[k], cycle)[word / LANE_WORDS][word % LANE_WORDS] = wave[word];
        }
        for (int k = 0; k < n_registers; ++k) {
            if (cycle)
                std::copy_n(at(data[std::size_t(k)], cycle - 1), chunks, at(n_sources + k, cycle));
            else
                std::fill_n(at(n_sources + k, cycle), chunks, everywhere(initial[std::size_t(k)]));
        }
        for (std::size_t k = 0; k < tables.size(); ++k) {
            const Lanes *inputs[INPUTS];
            for (int input = 0; input < tables[k].n_inputs; ++input)
                inputs[input] = golden(tables[k].inputs[std::size_t(input)], cycle);
            look_up(tables[k], inputs, chunks, at(first_table() + int(k), cycle));
        }
    }
    for (int sample = 0; sample < n_samples; ++sample)
        top.push_back(top_of(words(sample).data(), n_out));
}

std::vector<Int> Circuit::words(int sample) const {
    return words_of(*this, [&](std::int32_t value) { return golden_bit(value, n_cycles - 1, sample); });
}

void Circuit::check(const codesign_upset *upsets, Int n_upsets) const {
    for (const codesign_upset *one = upsets; one != upsets + n_upsets; ++one) {
        require(one->value >= n_sources && one->value < n_values, "an upset strikes no table and no register");
        if (one->bit >= 0)
            require(one->value >= first_table() &&
                        one->bit < 1 << tables[std::size_t(one->value - first_table())].n_inputs,
                    "an upset strikes a bit that its table does not have");
        else
            require(one->sample >= 0 && one->sample < n_samples && one->cycle >= 0 && one->cycle < n_cycles,
                    "an upset strikes a sample or a cycle that is not simulated");
    }
}

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
