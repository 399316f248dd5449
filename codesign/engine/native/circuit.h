// A netlist of look-up tables and registers, simulated for many samples at once, with upsets in its bits.
#ifndef CODESIGN_ENGINE_CIRCUIT_H_
#define CODESIGN_ENGINE_CIRCUIT_H_

#include <array>
#include <cstdint>
#include <vector>

#include "interface.h"
#include "threads.h"

namespace codesign::engine {

// One bit for each of so many samples.
constexpr int LANE_WORDS = 4, LANE_BITS = 64 * LANE_WORDS;
using Lanes = std::uint64_t __attribute__((vector_size(8 * LANE_WORDS)));

// The values of a circuit are numbered: sources, registers, then tables, each behind what it reads. Sources 0 and 1 are
// the constants. A register takes the value of its `data` at the end of each cycle.
class Circuit {
  public:
    // Copies what it is given, and simulates the fault-free run. Throws std::invalid_argument for what is not a circuit
    // or would take too much memory.
    explicit Circuit(const codesign_circuit_description &of);

    static constexpr int INPUTS = 6;
    struct Table {
        std::uint64_t bits;
        std::array<std::int32_t, INPUTS> inputs;
        std::int32_t n_inputs;
    };
    struct Flag {
        std::int32_t value;
        std::uint8_t kind; // CORRECTED or DETECTED
    };

    // Throws std::invalid_argument for an upset of something else than the circuit has.
    void check(const codesign_upset *upsets, Int n_upsets) const;
    // A value's chunks of samples in a cycle of the fault-free run.
    const Lanes *golden(std::int32_t value, int cycle) const {
        return golden_.data() + (std::size_t(cycle) * std::size_t(n_values) + std::size_t(value)) * std::size_t(chunks);
    }
    bool golden_bit(std::int32_t value, int cycle, int sample) const {
        return golden(value, cycle)[sample / LANE_BITS][sample % LANE_BITS / 64] >> (sample % 64) & 1;
    }
    int first_table() const { return n_sources + n_registers; }
    // What a sample gives in the last cycle of the fault-free run, (n_out,).
    std::vector<Int> words(int sample) const;

    int n_sources, n_registers, n_values, n_cycles, n_samples, chunks;
    int n_out, width;
    bool is_signed;
    std::vector<std::int32_t> data; // of each register
    std::vector<std::uint8_t> initial;
    std::vector<Table> tables;
    std::vector<std::int32_t> outputs; // (n_out, width), lowest bit first
    std::int32_t ready;
    std::vector<Flag> flags;
    std::vector<Lanes> samples; // which lanes there are, (chunks,)
    // Readers of each value: tables by their value, and registers by theirs.
    std::vector<std::int32_t> first_reader, readers;
    std::vector<std::int32_t> top; // fault-free, (n_samples,)

  private:
    void read(const codesign_circuit_description &of);
    void link();
    void run(const codesign_circuit_description &of);
    Lanes *at(std::int32_t value, int cycle) { return const_cast<Lanes *>(golden(value, cycle)); }

    std::vector<Lanes> golden_; // (n_cycles, n_values, chunks)
};

// Simulates one list of upsets after another: only what they change.
class CircuitWorker {
  public:
    explicit CircuitWorker(const Circuit &circuit);
    CircuitWorker(const CircuitWorker &) = delete;
    CircuitWorker &operator=(const CircuitWorker &) = delete;

    // What becomes of the samples, given their labels.
    codesign_upset_counts run(const codesign_upset *upsets, Int n_upsets, const Int *labels);

  private:
    void patch(const codesign_upset *upsets, Int n_upsets);
    void restore();
    void begin_cycle(int cycle);
    void strike(std::int32_t value, Lanes *lanes) const;
    void sweep(int cycle);
    void evaluate(std::int32_t value, int cycle);
    void end_cycle();
    void keep(std::int32_t value, const Lanes *lanes, int cycle);
    void mark(std::int32_t table);
    const Lanes *value(std::int32_t value, int cycle) const {
        return differs_[std::size_t(value)] ? now_.data() + std::size_t(value) * std::size_t(circuit_.chunks)
                                            : circuit_.golden(value, cycle);
    }
    codesign_upset_counts count(const Int *labels) const;
    void count(int sample, std::uint8_t flags, Int label, codesign_upset_counts &counts) const;

    const Circuit &circuit_;
    std::vector<Circuit::Table> tables_;  // with upsets
    std::vector<std::int32_t> patched_;   // tables with upsets
    std::vector<codesign_upset> strikes_; // of values, by cycle
    std::size_t next_strike_ = 0, end_of_cycle_ = 0;
    std::vector<Lanes> now_; // (n_values, chunks): where a value differs from the fault-free run
    std::vector<std::uint8_t> differs_, struck_;
    std::vector<std::int32_t> touched_;  // values that differ, in this cycle
    std::vector<std::uint64_t> waiting_; // a bit for each table that has to be evaluated
    std::size_t first_waiting_, last_waiting_;
    std::vector<std::int32_t> loading_; // registers that begin the next cycle with another value
    std::vector<Lanes> loaded_;         // and these values
    std::vector<Lanes> lanes_;
};

} // namespace codesign::engine

#endif
