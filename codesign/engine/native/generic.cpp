#include "generic.h"

#include <algorithm>

#include "parameters.h"
#include "passive.h"
#include "strikes.h"
#include "unit.h"

namespace codesign::engine {

namespace {

void finish(const Layer &layer, const Int *sums, Int *leaving) {
    const Cast cast(layer.accumulator.frac, layer.result);
    for (int k = 0; k < layer.n_out; ++k)
        leaving[k] = cast(sums[k]);
}

// Samples that differ from the fault-free run, ascending, and their values.
struct Changed {
    std::vector<std::int32_t> samples;
    std::vector<Int> values;
};

class GenericWorker : public Worker {
  public:
    explicit GenericWorker(const GenericSimulator &simulator)
        : simulator_(simulator), model_(simulator.model()), faults_(model_.layers.size()),
          changed_(model_.layers.size()) {}

    const Outcome &run(const Fault *faults, std::size_t n_faults, bool) override {
        for (auto &of_layer : faults_)
            of_layer.clear();
        for (std::size_t k = 0; k < n_faults; ++k)
            faults_[std::size_t(faults[k].layer)].push_back(&faults[k]);
        for (int index = 0; index < int(model_.layers.size()); ++index)
            run_layer(index);
        outcome_.samples = changed_.back().samples;
        outcome_.logits = changed_.back().values;
        outcome_.tops.clear();
        const int n_out = model_.last().n_out;
        for (std::size_t k = 0; k < outcome_.samples.size(); ++k)
            outcome_.tops.push_back(top_of(outcome_.logits.data() + k * std::size_t(n_out), n_out));
        return outcome_;
    }

    const Outcome &run_drawn(const FaultSpace &space, Int trial, bool with_logits) override {
        drawn_.clear();
        space.draw(trial, drawn_, kernels_plain());
        return run(drawn_.data(), drawn_.size(), with_logits);
    }

  private:
    // The faults of the layer at hand, sorted into what they do.
    struct Struck {
        bool everywhere = false;
        std::vector<const Fault *> persistent, transient; // but those of parameters; transient ones by sample
        std::vector<Int> weights, biases;                 // as they are read, empty where nothing changed
    };

    void run_layer(int index) {
        const Layer &layer = model_.layers[std::size_t(index)];
        Changed &changed = changed_[std::size_t(index)];
        changed.samples.clear();
        changed.values.clear();
        sort_faults(index);
        find_touched(layer);
        std::vector<std::size_t> at(layer.sources.size(), 0);
        auto transient = struck_.transient.begin();
        leaving_.resize(std::size_t(layer.n_out));
        for (const int sample : touched_) {
            here_ = struck_.persistent;
            for (; transient != struck_.transient.end() && (*transient)->sample == sample; ++transient)
                here_.push_back(*transient);
            const bool entering_changed = enter(layer, sample, at);
            leave(index, sample, entering_changed);
            const Int *golden = simulator_.leaving(index, sample);
            if (std::equal(leaving_.begin(), leaving_.end(), golden))
                continue;
            changed.samples.push_back(sample);
            changed.values.insert(changed.values.end(), leaving_.begin(), leaving_.end());
        }
    }

    void sort_faults(int index) {
        const Layer &layer = model_.layers[std::size_t(index)];
        const auto &faults = faults_[std::size_t(index)];
        struck_ = Struck();
        std::vector<ChangedParameter> parameters;
        changed_parameters(layer, faults, parameters);
        struck_.everywhere = !parameters.empty();
        if (!parameters.empty()) {
            struck_.weights = layer.weight.raw;
            struck_.biases = layer.bias.raw;
            for (const ChangedParameter &p : parameters)
                (p.target == WEIGHT ? struck_.weights : struck_.biases)[p.index(layer.neurons)] = p.after;
        }
        for (const Fault *fault : faults) {
            if (fault->target == WEIGHT || fault->target == BIAS)
                continue;
            struck_.everywhere |= fault->sample == ALL_SAMPLES;
            (fault->sample == ALL_SAMPLES ? struck_.persistent : struck_.transient).push_back(fault);
        }
        std::stable_sort(struck_.transient.begin(), struck_.transient.end(),
                         [](const Fault *a, const Fault *b) { return a->sample < b->sample; });
    }

    void find_touched(const Layer &layer) {
        touched_.clear();
        if (struck_.everywhere) {
            for (int sample = 0; sample < simulator_.n_samples(); ++sample)
                touched_.push_back(sample);
            return;
        }
        for (const Fault *fault : struck_.transient)
            touched_.push_back(fault->sample);
        for (const int source : layer.sources)
            if (source != FROM_INPUT) {
                const auto &samples = changed_[std::size_t(source)].samples;
                touched_.insert(touched_.end(), samples.begin(), samples.end());
            }
        std::sort(touched_.begin(), touched_.end());
        touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
    }

    // Brings one sample's values into `entering_`; whether a fault has changed them.
    bool enter(const Layer &layer, int sample, std::vector<std::size_t> &at) {
        bool differs = false;
        entering_.clear();
        for (std::size_t n = 0; n < layer.sources.size(); ++n) {
            const int source = layer.sources[n], size = layer.source_sizes[n];
            const Int *values = simulator_.leaving(source, sample);
            if (source != FROM_INPUT) {
                const Changed &changed = changed_[std::size_t(source)];
                while (at[n] < changed.samples.size() && changed.samples[at[n]] < sample)
                    ++at[n];
                if (at[n] < changed.samples.size() && changed.samples[at[n]] == sample) {
                    values = changed.values.data() + at[n] * std::size_t(size);
                    differs = true;
                }
            }
            entering_.insert(entering_.end(), values, values + size);
        }
        return differs;
    }

    void leave(int index, int sample, bool entering_changed) {
        const Layer &layer = model_.layers[std::size_t(index)];
        if (layer.computes()) {
            add_up(index, sample, entering_changed);
            flip_words(VOTER, layer, layer.accumulator, sums_);
            finish(layer, sums_.data(), leaving_.data());
        } else {
            passed(layer, entering_.data(), leaving_.data());
        }
        flip_words(ACTIVATION, layer, layer.result, leaving_);
    }

    void add_up(int index, int sample, bool entering_changed) {
        const Layer &layer = model_.layers[std::size_t(index)];
        const bool other = !struck_.weights.empty() || !struck_.biases.empty();
        const Operands operands{&layer, entering_.data(), (other ? struck_.weights : layer.weight.raw).data(),
                                (other ? struck_.biases : layer.bias.raw).data()};
        sums_.resize(std::size_t(layer.n_out));
        if (entering_changed || other)
            sums_of(operands, sums_.data());
        else
            std::copy_n(simulator_.sums(index, sample), layer.n_out, sums_.data());
        uses_.clear();
        for (const Fault *fault : here_)
            if (fault->target == PRODUCT || fault->target == ACCUMULATOR)
                append_uses(layer, *fault, 0, uses_);
        std::stable_sort(uses_.begin(), uses_.end());
        for (std::size_t first = 0, last = 0; first < uses_.size(); first = last) {
            while (last < uses_.size() && uses_[last].same_neuron(uses_[first]))
                ++last;
            const Use &use = uses_[first];
            Int &sum = sums_[std::size_t(use.row) * std::size_t(layer.neurons) + std::size_t(use.neuron)];
            const Leaves leaves(operands, int(use.row), use.neuron);
            sum = striker_.struck(layer, uses_.data() + first, uses_.data() + last, sum, leaves);
        }
    }

    void flip_words(Target target, const Layer &layer, const FixedPoint &of, std::vector<Int> &words) {
        for (const Fault *fault : here_) {
            if (fault->target != target)
                continue;
            const bool always = fault->step == ALL_STEPS;
            const int first = always ? 0 : fault->step, last = always ? layer.pixels - 1 : fault->step;
            for (int pixel = first; pixel <= last; ++pixel) {
                Int &word = words[std::size_t(pixel) * std::size_t(layer.neurons) + std::size_t(fault->neuron)];
                word = wrap(word ^ (Int(1) << fault->bit), of);
            }
        }
    }

    const GenericSimulator &simulator_;
    const Model &model_;
    std::vector<Fault> drawn_;
    std::vector<std::vector<const Fault *>> faults_;
    std::vector<Changed> changed_;
    Struck struck_;
    std::vector<const Fault *> here_;
    std::vector<int> touched_;
    std::vector<Int> entering_, leaving_, sums_;
    std::vector<Use> uses_;
    Striker striker_;
    Outcome outcome_;
};

} // namespace

GenericSimulator::GenericSimulator(const Model &model, std::vector<Int> inputs, int n_samples)
    : model_(model), n_samples_(n_samples), inputs_(std::move(inputs)), sums_(model.layers.size()) {
    std::vector<Int> entering;
    for (std::size_t index = 0; index < model.layers.size(); ++index) {
        const Layer &layer = model.layers[index];
        outputs_.emplace_back(std::size_t(n_samples) * std::size_t(layer.n_out));
        if (layer.computes())
            sums_[index].resize(outputs_[index].size());
        for (int sample = 0; sample < n_samples; ++sample) {
            entering.clear();
            for (std::size_t n = 0; n < layer.sources.size(); ++n) {
                const Int *values = leaving(layer.sources[n], sample);
                entering.insert(entering.end(), values, values + layer.source_sizes[n]);
            }
            Int *leaves = outputs_[index].data() + std::size_t(sample) * std::size_t(layer.n_out);
            if (layer.computes()) {
                Int *sums = sums_[index].data() + std::size_t(sample) * std::size_t(layer.n_out);
                sums_of({&layer, entering.data(), layer.weight.raw.data(), layer.bias.raw.data()}, sums);
                finish(layer, sums, leaves);
            } else {
                passed(layer, entering.data(), leaves);
            }
        }
    }
}

std::unique_ptr<Worker> GenericSimulator::worker() const { return std::make_unique<GenericWorker>(*this); }

const Int *GenericSimulator::leaving(int layer, int sample) const {
    if (layer == FROM_INPUT)
        return inputs_.data() + std::size_t(sample) * std::size_t(model_.n_in);
    return outputs_[std::size_t(layer)].data() +
           std::size_t(sample) * std::size_t(model_.layers[std::size_t(layer)].n_out);
}

const Int *GenericSimulator::sums(int layer, int sample) const {
    return sums_[std::size_t(layer)].data() +
           std::size_t(sample) * std::size_t(model_.layers[std::size_t(layer)].n_out);
}

} // namespace codesign::engine
