#include "model.h"

#include <cmath>
#include <stdexcept>

#include "codes.h"

namespace codesign::engine {

namespace {

constexpr Int FORMAT = 1;

class Reader {
  public:
    Reader(const Int *words, std::size_t size) : words_(words), size_(size) {}

    Int number(Int low, Int high) {
        if (at_ >= size_)
            fail();
        const Int value = words_[at_++];
        if (value < low || value > high)
            fail();
        return value;
    }

    int count(Int low = 0) { return int(number(low, INT32_MAX)); }
    bool flag() { return number(0, 1) != 0; }

    template <class Enum> Enum one_of(Enum last) { return Enum(number(0, Int(last))); }

    FixedPoint type() {
        FixedPoint found;
        found.width = int(number(1, 60));
        found.frac = int(number(-100, 100));
        found.is_signed = flag();
        found.rounding = one_of(Rounding::TRN_ZERO);
        found.overflow = one_of(Overflow::SAT_SYM);
        return found;
    }

    template <class T> std::vector<T> numbers(std::size_t size, Int low, Int high) {
        if (size > size_ - at_)
            fail();
        std::vector<T> found(size);
        for (T &value : found)
            value = T(number(low, high));
        return found;
    }

    Parameter parameter(std::size_t size) {
        Parameter found;
        found.type = type();
        found.raw = numbers<Int>(size, found.type.min_raw(), found.type.max_raw());
        return found;
    }

    void end() const {
        if (at_ != size_)
            fail();
    }

    [[noreturn]] void fail() const {
        throw std::invalid_argument("the network's description is damaged at word " + std::to_string(at_));
    }

  private:
    const Int *words_;
    std::size_t size_;
    std::size_t at_ = 0;
};

Protection read_protection(Reader &reader, const Layer &layer) {
    Protection found;
    found.mechanism = reader.one_of(Mechanism::RECOMPUTE);
    found.own_multipliers = reader.flag();
    found.dot_size = int(reader.number(0, layer.fan_in));
    found.code = reader.one_of(Code::ECC);
    found.cut = reader.numbers<int>(std::size_t(layer.neurons), 0, layer.accumulator.width);
    if (found.mechanism == Mechanism::RECOMPUTE && (found.dot_size < 1 || layer.saturates()))
        reader.fail();
    return found;
}

void read_unit(Reader &reader, Layer &layer) {
    layer.fan_in = reader.count(1);
    layer.reuse = reader.count(1);
    if (layer.fan_in % layer.reuse)
        reader.fail();
    layer.per_pass = layer.fan_in / layer.reuse;
    if (layer.has_weights()) {
        layer.weight = reader.parameter(std::size_t(layer.fan_in) * std::size_t(layer.neurons));
        layer.bias = reader.parameter(std::size_t(layer.neurons));
    }
    layer.protection = read_protection(reader, layer);
    layer.spans = adder_spans(layer.fan_in, layer.reuse, layer.saturates());
    if (layer.recomputes()) {
        const int passes = layer.unit_passes();
        layer.unit_spans = adder_spans(passes * layer.protection.dot_size, passes, false);
    }
}

void read_window(Reader &reader, Layer &layer) {
    layer.window.n_places = reader.count();
    if (!layer.window.exists())
        return;
    layer.window.channels = reader.count(1);
    const int in_pixels = layer.n_in / layer.window.channels;
    const std::size_t size = std::size_t(layer.pixels) * std::size_t(layer.window.n_places);
    layer.window.places = reader.numbers<std::int32_t>(size, -1, in_pixels - 1);
}

// The sizes by which values are indexed must agree, whoever wrote the description.
void check_sizes(const Reader &reader, const Layer &layer) {
    const Window &window = layer.window;
    bool fits = true;
    switch (layer.kind) {
    case Kind::DENSE:
        fits = layer.pixels == 1 && layer.fan_in == layer.n_in;
        break;
    case Kind::CONV:
        fits = window.exists() && layer.fan_in == window.n_places * window.channels;
        break;
    case Kind::DEPTHWISE:
        fits = window.exists() && layer.fan_in == window.n_places && layer.neurons == window.channels;
        break;
    case Kind::BATCHNORM:
        fits = layer.fan_in == 1 && layer.n_in == layer.n_out;
        break;
    case Kind::ADD:
        fits = layer.fan_in == 1 && layer.n_in == 2 * layer.n_out;
        break;
    case Kind::MAX_POOL:
    case Kind::AVERAGE_POOL:
        fits = window.exists() && layer.neurons == window.channels;
        break;
    case Kind::CONCATENATE:
    case Kind::RESHAPE:
    case Kind::PAD:
    case Kind::UPSAMPLE:
        fits = int(layer.wiring.size()) == layer.n_out;
        break;
    default:
        fits = layer.n_in == layer.n_out;
    }
    const std::size_t inputs = layer.kind == Kind::ADD || layer.kind == Kind::CONCATENATE ? 2 : 1;
    if (!fits || layer.sources.size() != inputs)
        reader.fail();
}

Layer read_layer(Reader &reader, const Model &model) {
    Layer layer;
    layer.kind = reader.one_of(Kind::UPSAMPLE);
    const int before = int(model.layers.size());
    layer.sources = reader.numbers<int>(std::size_t(reader.number(1, 2)), FROM_INPUT, before - 1);
    for (const int source : layer.sources) {
        const bool first = source == FROM_INPUT;
        layer.source_types.push_back(first ? model.input_type : model.layers[std::size_t(source)].result);
        layer.source_sizes.push_back(first ? model.n_in : model.layers[std::size_t(source)].n_out);
        layer.n_in += layer.source_sizes.back();
    }
    layer.result = reader.type();
    layer.pixels = reader.count(1);
    layer.neurons = reader.count(1);
    if (Int(layer.pixels) * layer.neurons > INT32_MAX)
        reader.fail();
    layer.n_out = layer.pixels * layer.neurons;
    if (reader.flag()) {
        layer.has_accumulator = true;
        layer.accumulator = reader.type();
    }
    read_window(reader, layer);
    if (layer.computes()) {
        if (!layer.has_accumulator)
            reader.fail();
        read_unit(reader, layer);
    }
    layer.function = reader.one_of(Function::ELU);
    for (int n_tables = int(reader.number(0, 2)); n_tables > 0; --n_tables) {
        const int size = reader.count(1);
        layer.tables.push_back(reader.parameter(std::size_t(size)));
    }
    layer.wiring = reader.numbers<std::int32_t>(std::size_t(reader.count()), -1, layer.n_in - 1);
    layer.has_norm = reader.flag();
    layer.norm = reader.type();
    layer.inverse_input = reader.type();
    check_sizes(reader, layer);
    return layer;
}

void tree(std::vector<Span> &spans, int first, int end) {
    if (end - first < 2)
        return;
    int half = 1;
    while (half * 2 < end - first)
        half *= 2;
    spans[std::size_t(first + half - 1)] = {first, end};
    tree(spans, first, first + half);
    tree(spans, first + half, end);
}

// Bits of one word that a target's faults may strike, and its places, copies and uses within a sample.
struct Sites {
    Int positions, replicas, bits, steps;
};

Sites sites(const Layer &layer, const Fault &fault) {
    const Protection &plan = layer.protection;
    switch (fault.target) {
    case ACTIVATION:
        return {Int(layer.has_registers()), 1, layer.result.width, layer.pixels};
    case VOTER:
        return {Int(layer.computes()), 1, layer.accumulator.width, layer.pixels};
    case WEIGHT:
    case BIAS: {
        if (!layer.has_weights())
            return {};
        const FixedPoint &type = fault.target == WEIGHT ? layer.weight.type : layer.bias.type;
        return {fault.target == WEIGHT ? layer.fan_in : 1, stored_copies(plan.code),
                stored_width(type.width, plan.code), 1};
    }
    default:
        break;
    }
    if (!layer.computes() || (fault.target == PRODUCT && !layer.has_weights()))
        return {};
    const Int bits = fault.target == PRODUCT ? layer.product_type().width : layer.accumulator.width;
    const bool again = layer.recomputes() && fault.replica > 0;
    const Int copies = fault.target == PRODUCT && !plan.own_multipliers && !layer.recomputes() ? 1 : layer.copies();
    const Int passes = again ? layer.unit_passes() : layer.reuse;
    return {again ? plan.dot_size : layer.per_pass, copies, bits, layer.pixels * passes};
}

bool strikes_something(const Layer &layer, const Fault &fault, int n_samples) {
    const Sites found = sites(layer, fault);
    const bool unit = fault.neuron == UNIT && layer.recomputes() && fault.replica > 0 &&
                      (fault.target == PRODUCT || fault.target == ACCUMULATOR);
    const bool stored = fault.target == WEIGHT || fault.target == BIAS;
    return (unit || (fault.neuron >= 0 && fault.neuron < layer.neurons)) && fault.position >= 0 &&
           fault.position < found.positions && fault.replica >= 0 && fault.replica < found.replicas && fault.bit >= 0 &&
           fault.bit < found.bits && fault.sample >= ALL_SAMPLES && fault.sample < (stored ? 0 : n_samples) &&
           fault.step >= ALL_STEPS && fault.step < (stored ? 0 : found.steps);
}

} // namespace

FixedPoint Layer::product_type() const {
    FixedPoint found;
    found.width = source_types[0].width + weight.type.width;
    found.frac = product_frac();
    found.is_signed = source_types[0].is_signed || weight.type.is_signed;
    return found;
}

int Model::users(int index) const {
    int found = 0;
    for (const Layer &layer : layers)
        for (const int source : layer.sources)
            found += source == index;
    return found;
}

Model Model::read(const Int *words, std::size_t n_words) {
    Reader reader(words, n_words);
    Model model;
    reader.number(FORMAT, FORMAT);
    model.input_type = reader.type();
    model.n_in = reader.count(1);
    for (int n_layers = reader.count(1); n_layers > 0; --n_layers)
        model.layers.push_back(read_layer(reader, model));
    reader.end();
    return model;
}

void Model::check(const Fault *faults, std::size_t n_faults, int n_samples) const {
    for (std::size_t k = 0; k < n_faults; ++k) {
        const Fault &fault = faults[k];
        const bool known =
            fault.layer >= 0 && fault.layer < int(layers.size()) && fault.target >= WEIGHT && fault.target <= VOTER;
        if (!known || !strikes_something(layers[std::size_t(fault.layer)], fault, n_samples))
            throw std::invalid_argument("fault " + std::to_string(k) + " of the list strikes nothing in this network");
    }
}

std::vector<Span> adder_spans(int fan_in, int reuse, bool chain) {
    const int per_pass = fan_in / reuse;
    std::vector<Span> of_pass(static_cast<std::size_t>(per_pass));
    if (chain)
        for (int k = 0; k < per_pass; ++k)
            of_pass[std::size_t(k)] = {0, k + 2};
    else
        tree(of_pass, 0, per_pass + 1);
    std::vector<Span> spans;
    spans.reserve(std::size_t(fan_in));
    for (int pass = 0; pass < reuse; ++pass)
        // Leaf 0 of a later pass is the sum of all before it, so a span that begins there begins at the bias.
        for (const Span span : of_pass)
            spans.push_back({span.first ? span.first + pass * per_pass : 0, span.end + pass * per_pass});
    return spans;
}

} // namespace codesign::engine
