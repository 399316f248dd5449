#include "draw.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <unordered_set>

#include "logarithm.h"

namespace codesign::engine {

namespace {

// A uniform integer below `bound`: Lemire's multiply-and-reject, without bias.
Int below(Philox &generator, Int bound) {
    const std::uint64_t size = std::uint64_t(bound);
    for (;;) {
        const unsigned __int128 product = static_cast<unsigned __int128>(generator.next()) * size;
        if (std::uint64_t(product) >= (0 - size) % size)
            return Int(product >> 64);
    }
}

[[noreturn]] void fail() { throw std::invalid_argument("the fault space's description is damaged"); }

class Reader {
  public:
    Reader(const Int *words, std::size_t size) : words_(words), end_(words + size) {}
    Int number(Int low, Int high) {
        if (words_ == end_ || *words_ < low || *words_ > high)
            fail();
        return *words_++;
    }
    bool at_end() const { return words_ == end_; }

  private:
    const Int *words_, *end_;
};

Segment read_segment(Reader &reader) {
    constexpr Int MOST = Int(1) << 52; // the decoder's reciprocals are good for less
    Segment found{};
    found.layer = std::int32_t(reader.number(0, INT32_MAX));
    found.target = std::int32_t(reader.number(WEIGHT, VOTER));
    found.replica = std::int32_t(reader.number(0, REPLICAS - 1));
    found.of_unit = reader.number(0, 1) != 0;
    found.samples = reader.number(1, INT32_MAX);
    found.steps = reader.number(0, INT32_MAX);
    found.positions = reader.number(1, INT32_MAX);
    const Int neurons = reader.number(1, INT32_MAX);
    found.starts.push_back(0);
    for (Int neuron = 0; neuron < neurons; ++neuron) {
        found.lowest.push_back(reader.number(0, 63));
        found.bits.push_back(reader.number(0, 64));
        found.starts.push_back(found.starts.back() + found.bits.back() * found.positions);
    }
    found.size = found.starts.back() * found.samples * std::max<Int>(found.steps, 1);
    if (double(found.starts.back()) * double(found.samples) * double(std::max<Int>(found.steps, 1)) >= double(MOST))
        fail();
    if (found.size < 1)
        fail();
    const auto alike = [](const std::vector<Int> &numbers) {
        return std::all_of(numbers.begin(), numbers.end(), [&](Int number) { return number == numbers[0]; });
    };
    found.uniform = alike(found.bits) && alike(found.lowest);
    found.decoder = {found.starts.back(), found.bits[0] * found.positions, found.bits[0]};
    return found;
}

} // namespace

Fault Segment::decode(Int number) const {
    const Int total = starts.back(), time = number / total, rest = number - time * total;
    const Int neuron = uniform ? rest / decoder.neuron_bits
                               : std::upper_bound(starts.begin(), starts.end(), rest) - starts.begin() - 1;
    const std::size_t at = std::size_t(neuron);
    const Int place = rest - starts[at], position = place / bits[at];
    Fault fault;
    fault.layer = layer;
    fault.target = target;
    fault.neuron = of_unit ? UNIT : std::int32_t(neuron);
    fault.position = std::int32_t(position);
    fault.replica = replica;
    fault.bit = std::int32_t(place - position * bits[at] + lowest[at]);
    fault.sample = steps ? std::int32_t(time / steps) : ALL_SAMPLES;
    fault.step = steps ? std::int32_t(time % steps) : ALL_STEPS;
    return fault;
}

int Bernoulli::next(Int *numbers) {
    if (probability_ <= 0.0 || last_ >= bound_)
        return 0;
    if (probability_ >= 1.0) {
        int n = 0;
        while (n < MOST && ++last_ < bound_)
            numbers[n++] = last_;
        return n;
    }
    std::uint64_t raw[MOST];
    for (int k = 0; k < chunk_; k += Philox::BLOCK)
        generator_.block(raw + k);
    kernels_.gaps(raw, chunk_, scale_, double(bound_), numbers);
    int n = 0;
    for (; n < chunk_; ++n) {
        last_ += numbers[n];
        if (last_ >= bound_)
            break;
        numbers[n] = last_;
    }
    chunk_ = std::min(2 * chunk_, MOST);
    return n;
}

FaultSpace FaultSpace::read(const Int *words, std::size_t n_words) {
    Reader reader(words, n_words);
    FaultSpace space;
    space.seed_ = reader.number(0, INT64_MAX);
    space.n_flips_ = reader.number(0, INT64_MAX);
    const Int bits = reader.number(0, INT64_MAX);
    std::memcpy(&space.ber_, &bits, sizeof bits);
    if (!(space.ber_ >= 0.0 && space.ber_ <= 1.0))
        fail();
    if (space.ber_ > 0.0 && space.ber_ < 1.0)
        space.scale_ = 1.0 / log_complement(space.ber_);
    for (Int n_segments = reader.number(0, INT32_MAX); n_segments > 0; --n_segments)
        space.segments_.push_back(read_segment(reader));
    if (!reader.at_end())
        fail();
    return space;
}

Bernoulli FaultSpace::bernoulli(const Segment &segment, Int trial, const Kernels &kernels) const {
    const Philox generator(std::uint64_t(seed_), std::uint64_t(trial), segment.stream());
    return {generator, ber_, scale_, segment.size, kernels};
}

void FaultSpace::draw(Int trial, std::vector<Fault> &faults, const Kernels &kernels) const {
    if (n_flips_)
        return draw_exactly(trial, faults);
    for (const Segment &segment : segments_)
        draw_segment(segment, trial, faults, kernels);
}

void FaultSpace::draw_segment(const Segment &segment, Int trial, std::vector<Fault> &faults,
                              const Kernels &kernels) const {
    Bernoulli drawn = bernoulli(segment, trial, kernels);
    Int numbers[Bernoulli::MOST];
    while (const int n = drawn.next(numbers))
        for (int k = 0; k < n; ++k)
            faults.push_back(segment.decode(numbers[k]));
}

void FaultSpace::draw_exactly(Int trial, std::vector<Fault> &faults) const {
    Int size = 0;
    for (const Segment &segment : segments_)
        size += segment.size;
    if (n_flips_ > size)
        throw std::invalid_argument("n_flips " + std::to_string(n_flips_) + ": the network has only " +
                                    std::to_string(size) + " bits for these targets");
    Philox generator(std::uint64_t(seed_), std::uint64_t(trial), UINT64_MAX);
    std::vector<Int> numbers;
    if (n_flips_ == 1) {
        numbers.push_back(below(generator, size));
    } else {
        std::unordered_set<Int> chosen;
        while (Int(chosen.size()) < n_flips_)
            chosen.insert(below(generator, size));
        numbers.assign(chosen.begin(), chosen.end());
        std::sort(numbers.begin(), numbers.end());
    }
    std::size_t at = 0;
    Int start = 0;
    for (const Int number : numbers) {
        while (number - start >= segments_[at].size)
            start += segments_[at++].size;
        faults.push_back(segments_[at].decode(number - start));
    }
}

} // namespace codesign::engine
