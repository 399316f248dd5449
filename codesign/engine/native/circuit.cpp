#include "circuit.h"

#include <algorithm>
#include <stdexcept>

#include "circuit_values.h"
#include "simulator.h"

namespace codesign::engine {

namespace {

constexpr std::size_t MOST_BYTES = std::size_t(3) << 30;

Lanes everywhere(bool bit) { return Lanes{} - std::uint64_t(bit); }

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

} // namespace codesign::engine
