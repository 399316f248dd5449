#include "interface.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>

#include "campaign.h"
#include "exported.h"
#include "generic.h"
#include "packed.h"

using namespace codesign::engine;

struct codesign_engine {
    Model model;
    int n_samples = 0;
    std::unique_ptr<Simulator> simulator;
};

namespace {

static_assert(sizeof(Fault) == 8 * sizeof(std::int32_t), "a fault is eight 32-bit integers");

// Of the levels of kernels_up_to.
constexpr int BEST = 3;

const Fault *as_faults(const std::int32_t *words) { return reinterpret_cast<const Fault *>(words); }

void open(codesign_engine &engine, const Int *inputs, int level) {
    for (const Layer &layer : engine.model.layers)
        if (Int(engine.n_samples) * layer.pixels > INT32_MAX)
            throw std::invalid_argument("samples times pixels of a layer exceed 2**31 - 1: evaluate fewer samples");
    const std::size_t n_inputs = std::size_t(engine.n_samples) * std::size_t(engine.model.n_in);
    const FixedPoint &type = engine.model.input_type;
    if (std::any_of(inputs, inputs + n_inputs, [&](Int x) { return x < type.min_raw() || x > type.max_raw(); }))
        throw std::invalid_argument("an input lies outside the network's input type");
    if (level > 0 && PackedSimulator::takes(engine.model))
        engine.simulator = std::make_unique<PackedSimulator>(engine.model, std::vector<Int>(inputs, inputs + n_inputs),
                                                             engine.n_samples, level);
    else
        engine.simulator = generic_simulator(engine.model, inputs, engine.n_samples, level ? level : BEST);
}

// Every neuron's last bit; the others lie below it in each field.
void check_segments(const codesign_engine &engine, const FaultSpace &space) {
    for (const Segment &segment : space.segments())
        for (std::size_t neuron = 0; neuron < segment.bits.size(); ++neuron) {
            if (!segment.bits[neuron])
                continue;
            Fault last = segment.decode(segment.size - segment.starts.back() + segment.starts[neuron + 1] - 1);
            engine.model.check(&last, 1, engine.n_samples);
        }
}

void run_campaign(const codesign_engine &engine, const codesign_campaign &wanted) {
    FaultSpace space;
    Campaign campaign{};
    if (wanted.space) {
        space = FaultSpace::read(wanted.space, wanted.n_space);
        check_segments(engine, space);
        campaign.source.space = &space;
    } else {
        campaign.source.faults = as_faults(wanted.faults);
        campaign.source.offsets = wanted.offsets;
        engine.model.check(campaign.source.faults, std::size_t(wanted.offsets[wanted.n_trials]), engine.n_samples);
    }
    campaign.simulator = engine.simulator.get();
    campaign.first_trial = wanted.first_trial;
    campaign.n_trials = wanted.n_trials;
    campaign.labels = wanted.labels;
    campaign.n_samples = engine.n_samples;
    campaign.n_out = engine.model.last().n_out;
    campaign.threads = wanted.threads;
    campaign.counts = {wanted.counts, wanted.logits, wanted.finished};
    campaign.done = wanted.done;
    campaign.cancel = wanted.cancel;
    run(campaign);
}

} // namespace

EXPORTED int32_t codesign_engine_version(void) { return CODESIGN_ENGINE_VERSION; }

EXPORTED codesign_engine *codesign_engine_open(const int64_t *description, size_t n_words, const int64_t *inputs,
                                               int64_t n_samples, int32_t kernels, codesign_error error) {
    std::unique_ptr<codesign_engine> engine;
    const int failed = guarded(error, [&] {
        engine = std::make_unique<codesign_engine>();
        engine->model = Model::read(description, n_words);
        engine->n_samples = int(n_samples);
        open(*engine, inputs, kernels);
    });
    return failed ? nullptr : engine.release();
}

EXPORTED void codesign_engine_close(codesign_engine *engine) { delete engine; }

EXPORTED int32_t codesign_engine_kernels(const codesign_engine *engine) { return engine->simulator->level(); }

EXPORTED void codesign_engine_golden(const codesign_engine *engine, int64_t *logits) {
    const std::vector<Int> &golden = engine->simulator->golden();
    std::copy(golden.begin(), golden.end(), logits);
}

EXPORTED int codesign_engine_run(const codesign_engine *engine, const int32_t *faults, size_t n_faults, int64_t *logits,
                                 uint8_t *flags, codesign_error error) {
    return guarded(error, [&] {
        engine->model.check(as_faults(faults), n_faults, engine->n_samples);
        const std::unique_ptr<Worker> worker = engine->simulator->worker();
        const Outcome &outcome = worker->run(as_faults(faults), n_faults, true);
        codesign_engine_golden(engine, logits);
        const int n_out = engine->model.last().n_out;
        for (std::size_t k = 0; k < outcome.samples.size(); ++k)
            std::copy_n(outcome.logits.data() + k * std::size_t(n_out), n_out,
                        logits + Int(outcome.samples[k]) * n_out);
        for (int sample = 0; sample < engine->n_samples; ++sample)
            flags[sample] = outcome.flags.of(sample);
    });
}

EXPORTED int codesign_engine_campaign(const codesign_engine *engine, const codesign_campaign *campaign,
                                      codesign_error error) {
    return guarded(error, [&] { run_campaign(*engine, *campaign); });
}

EXPORTED int32_t *codesign_engine_draw(const int64_t *space, size_t n_space, int64_t trial, size_t *n_faults,
                                       codesign_error error) {
    int32_t *found = nullptr;
    const int failed = guarded(error, [&] {
        std::vector<Fault> faults;
        FaultSpace::read(space, n_space).draw(trial, faults, kernels_plain());
        const std::size_t size = faults.size() * sizeof(Fault);
        found = static_cast<int32_t *>(std::malloc(size ? size : 1));
        if (!found)
            throw std::bad_alloc();
        if (size)
            std::memcpy(found, faults.data(), size);
        *n_faults = faults.size();
    });
    return failed ? nullptr : found;
}

EXPORTED void codesign_engine_free(int32_t *faults) { std::free(faults); }
