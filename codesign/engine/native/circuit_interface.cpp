#include <memory>

#include "circuit.h"
#include "exported.h"

using namespace codesign::engine;

struct codesign_circuit {
    Circuit circuit;
};

namespace {

void run_trials(const Circuit &circuit, const codesign_upset_trials &wanted) {
    circuit.check(wanted.upsets, wanted.offsets[wanted.n_trials]);
    const Work work{wanted.n_trials, wanted.threads, wanted.done, wanted.cancel};
    on_threads(work, [&] {
        return [&wanted, worker = std::make_unique<CircuitWorker>(circuit)](Int trial) {
            const Int begin = wanted.offsets[trial], size = wanted.offsets[trial + 1] - begin;
            wanted.counts[trial] = worker->run(wanted.upsets + begin, size, wanted.labels);
            wanted.finished[trial] = 1;
        };
    });
}

} // namespace

EXPORTED codesign_circuit *codesign_circuit_open(const codesign_circuit_description *description,
                                                 codesign_error error) {
    std::unique_ptr<codesign_circuit> circuit;
    const int failed = guarded(error, [&] { circuit.reset(new codesign_circuit{Circuit(*description)}); });
    return failed ? nullptr : circuit.release();
}

EXPORTED void codesign_circuit_close(codesign_circuit *circuit) { delete circuit; }

EXPORTED void codesign_circuit_golden(const codesign_circuit *circuit, int64_t *words, uint8_t *state) {
    const Circuit &of = circuit->circuit;
    for (int sample = 0; sample < of.n_samples; ++sample) {
        for (const Int word : of.words(sample))
            *words++ = word;
        const auto has = [&](std::int32_t value) { return of.golden_bit(value, of.n_cycles - 1, sample); };
        bool raised = false;
        for (const Circuit::Flag &flag : of.flags)
            raised |= has(flag.value);
        state[sample] = std::uint8_t(has(of.ready) | raised << 1);
    }
}

EXPORTED int codesign_circuit_run(const codesign_circuit *circuit, const codesign_upset_trials *trials,
                                  codesign_error error) {
    return guarded(error, [&] { run_trials(circuit->circuit, *trials); });
}
