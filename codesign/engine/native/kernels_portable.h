// The kernels in plain C++, for translation units that are compiled for one instruction set each.
// Everything is in an unnamed namespace: no two such units may share the code of a function.
#ifndef CODESIGN_ENGINE_KERNELS_PORTABLE_H_
#define CODESIGN_ENGINE_KERNELS_PORTABLE_H_

#include <cstring>

#include "kernels.h"
#include "logarithm.h"

namespace codesign::engine {
namespace {

inline std::int32_t added32(std::int32_t a, std::int32_t b) {
    return std::int32_t(std::uint32_t(a) + std::uint32_t(b));
}

inline std::int32_t held(std::int32_t value, int spare, bool is_signed) {
    const std::uint32_t top = std::uint32_t(value) << spare;
    return is_signed ? std::int32_t(top) >> spare : std::int32_t(top >> spare);
}

inline void multiply_portable(const std::uint8_t *const *rows, int n_rows, const std::int8_t *packed, int k4, int n_pad,
                              const std::int32_t *start, std::int32_t *sums) {
    for (int r = 0; r < n_rows; ++r, sums += n_pad) {
        std::memcpy(sums, start, std::size_t(n_pad) * sizeof *sums);
        const std::uint8_t *x = rows[r];
        const std::int8_t *w = packed;
        for (int k = 0; k < k4; ++k, x += 4, w += 4 * n_pad)
            for (int j = 0; j < n_pad; ++j)
                sums[j] =
                    added32(sums[j], x[0] * w[4 * j] + x[1] * w[4 * j + 1] + x[2] * w[4 * j + 2] + x[3] * w[4 * j + 3]);
    }
}

inline bool update_portable(const std::uint8_t *row, const std::uint8_t *golden_row, int n_in,
                            const std::int32_t *golden_sums, const std::int8_t *weights, int n_pad, int most,
                            std::int32_t *sums) {
    int changed = 0;
    for (int k = 0; k < n_in; ++k)
        changed += row[k] != golden_row[k];
    if (changed > most)
        return false;
    std::memcpy(sums, golden_sums, std::size_t(n_pad) * sizeof *sums);
    for (int k = 0; changed; ++k) {
        const std::int32_t delta = row[k] - golden_row[k];
        if (!delta)
            continue;
        --changed;
        for (int j = 0; j < n_pad; ++j)
            sums[j] = added32(sums[j], delta * weights[std::ptrdiff_t(k) * n_pad + j]);
    }
    return true;
}

inline std::int32_t requantised(const Requantise &how, std::int32_t value) {
    if (how.sum_spare)
        value = held(value, how.sum_spare, how.sum_signed);
    if (how.relu && value < 0)
        value = 0;
    value = (value + how.addend + ((value >> how.shift) & how.even_mask)) >> how.shift;
    if (how.wraps)
        value = held(value, how.spare, how.is_signed);
    else
        value = value < how.low ? how.low : value > how.high ? how.high : value;
    return value + how.offset;
}

inline void requantise_portable(const Requantise &how, const std::int32_t *sums, int n_rows, int n, int n_pad,
                                std::uint8_t *bytes, int stride) {
    for (int r = 0; r < n_rows; ++r, sums += n_pad, bytes += stride)
        for (int k = 0; k < n; ++k)
            bytes[k] = std::uint8_t(requantised(how, sums[k]));
}

inline void add_column_portable(const std::uint8_t *column, std::int32_t factor, int n, std::int32_t *sums) {
    for (int k = 0; k < n; ++k)
        sums[k] = added32(sums[k], column[k] * factor);
}

inline std::int32_t *differing_portable(const std::uint8_t *a, const std::uint8_t *b, int n, std::int32_t first,
                                        std::int32_t *places) {
    for (int k = 0; k < n; ++k)
        if (a[k] != b[k])
            *places++ = first + k;
    return places;
}

inline int keep_changed_portable(std::uint8_t *rows, int n_rows, int stride, const std::uint8_t *golden,
                                 const std::int32_t *samples, std::int32_t *kept) {
    int n = 0;
    for (int r = 0; r < n_rows; ++r) {
        const std::uint8_t *row = rows + std::ptrdiff_t(r) * stride;
        if (std::memcmp(row, golden + std::ptrdiff_t(samples[r]) * stride, std::size_t(stride)) == 0)
            continue;
        if (r != n)
            std::memcpy(rows + std::ptrdiff_t(n) * stride, row, std::size_t(stride));
        kept[n++] = samples[r];
    }
    return n;
}

inline void tops_portable(const std::int32_t *sums, const std::int32_t *samples, int n_rows, int n, int n_pad,
                          int spare, bool is_signed, Answers &answers) {
    for (int r = 0; r < n_rows; ++r, sums += n_pad) {
        const auto value = [&](int k) { return held(sums[k], spare, is_signed); };
        int top = 0;
        for (int k = 1; k < n; ++k)
            if (value(k) > value(top))
                top = k;
        append_answer(answers, samples[r], top, n, value);
    }
}

inline void gather_portable(const Run *runs, std::size_t n, const std::uint8_t *image, const std::uint8_t *padding,
                            std::uint8_t *operands) {
    for (std::size_t k = 0; k < n; ++k)
        std::memcpy(operands + runs[k].to, runs[k].from < 0 ? padding : image + runs[k].from,
                    std::size_t(runs[k].size));
}

inline void max_pool_portable(const std::uint8_t *image, const std::int32_t *places, int pixels, int n_places,
                              int channels, std::uint8_t *pooled) {
    for (int pixel = 0; pixel < pixels; ++pixel, places += n_places, pooled += channels) {
        std::memset(pooled, 0, std::size_t(channels));
        for (int place = 0; place < n_places; ++place) {
            if (places[place] < 0)
                continue;
            const std::uint8_t *values = image + std::ptrdiff_t(places[place]) * channels;
            for (int c = 0; c < channels; ++c)
                pooled[c] = values[c] > pooled[c] ? values[c] : pooled[c];
        }
    }
}

inline std::int32_t dot_portable(const std::uint8_t *values, const std::int8_t *weights, int n) {
    std::int32_t sum = 0;
    for (int k = 0; k < n; ++k)
        sum = added32(sum, values[k] * weights[k]);
    return sum;
}

// Numbers are below 2**52, so the product with the reciprocal is at most one off.
inline std::int64_t quotient(std::int64_t number, std::int64_t divisor, double reciprocal) {
    const std::int64_t found = std::int64_t(double(number) * reciprocal);
    const std::int64_t rest = number - found * divisor;
    return found + (rest >= divisor) - (rest < 0);
}

inline void decode_portable(const Decoder &by, const std::int64_t *numbers, int n, std::int32_t low_bit,
                            Decoded *decoded) {
    const double step = 1.0 / double(by.step_bits), neuron = 1.0 / double(by.neuron_bits),
                 word = 1.0 / double(by.word_bits);
    for (int k = 0; k < n; ++k) {
        const std::int64_t time = quotient(numbers[k], by.step_bits, step);
        const std::int64_t in_step = numbers[k] - time * by.step_bits;
        const std::int64_t j = quotient(in_step, by.neuron_bits, neuron);
        const std::int64_t in_neuron = in_step - j * by.neuron_bits;
        const std::int64_t position = quotient(in_neuron, by.word_bits, word);
        decoded[k] = {std::int32_t(time), std::int32_t(j), std::int32_t(position),
                      std::int32_t(in_neuron - position * by.word_bits) + low_bit};
    }
}

// The fault-free sum of an adder's leaves.
template <std::int32_t (*DOT)(const std::uint8_t *, const std::int8_t *, int)>
inline std::int32_t partial_sum(const AdderStep &step, const StruckAdder &adder, const std::uint8_t *x) {
    const std::int32_t first = step.spans[2 * adder.place], end = step.spans[2 * adder.place + 1];
    const std::int8_t *w = step.by_neuron + std::ptrdiff_t(adder.neuron) * step.k_pad;
    if (first)
        return DOT(x + first - 1, w + first - 1, end - first);
    return added32(std::int32_t(step.biases[adder.neuron]), DOT(x, w, end - 1));
}

// What inverting a bit of `value` adds to it, modulo a power of two above.
inline std::int32_t flip_delta(std::int32_t value, int bit) {
    const std::uint32_t one = std::uint32_t(1) << bit;
    return std::int32_t(one - ((std::uint32_t(value) & one) << 1));
}

// Several struck adders of one sum, whose fault-free values are given: an adder sees the deltas of those within its
// span, so short spans come first.
inline std::int32_t several_deltas(const AdderStep &step, const StruckAdder *struck, std::size_t n,
                                   const std::int32_t *values) {
    std::int32_t *order = step.order, *deltas = step.deltas, total = 0;
    const auto size = [&](std::ptrdiff_t k) {
        return step.spans[2 * struck[k].place + 1] - step.spans[2 * struck[k].place];
    };
    for (std::size_t k = 0; k < n; ++k) {
        std::size_t at = k;
        for (; at > 0 && size(order[at - 1]) > size(std::ptrdiff_t(k)); --at)
            order[at] = order[at - 1];
        order[at] = std::int32_t(k);
    }
    for (std::size_t k = 0; k < n; ++k) {
        const StruckAdder &adder = struck[order[k]];
        const std::int32_t first = step.spans[2 * adder.place], end = step.spans[2 * adder.place + 1];
        std::int32_t value = values[order[k]];
        for (std::size_t inner = 0; inner < k; ++inner) {
            const std::int32_t place = struck[order[inner]].place;
            const bool seen = (step.spans[2 * place] >= first) & (step.spans[2 * place + 1] <= end);
            value = added32(value, seen ? deltas[inner] : 0);
        }
        deltas[k] = flip_delta(value, adder.bit);
        total = added32(total, deltas[k]);
    }
    return total;
}

template <std::int32_t (*DOT)(const std::uint8_t *, const std::int8_t *, int)>
void adders_by(const AdderStep &step, const StruckAdder *struck, std::size_t n) {
    for (std::size_t k = 0; k < n; ++k)
        step.values[k] = partial_sum<DOT>(step, struck[k], step.operands[step.slots[struck[k].row - step.first_row]]);
    for (std::size_t k = 0; k < n;) {
        const StruckAdder &adder = struck[k];
        const std::int32_t slot = step.slots[adder.row - step.first_row];
        std::int32_t &sum = step.sums[std::ptrdiff_t(slot) * step.n_pad + adder.neuron];
        std::size_t end = k + 1;
        while (end < n && struck[end].same_sum(adder))
            ++end;
        const std::int32_t delta = several_deltas(step, struck + k, end - k, step.values + k);
        sum = held(added32(sum, delta), step.spare, step.is_signed);
        k = end;
    }
}

inline void gaps_portable(const std::uint64_t *raw, int n, double scale, double bound, std::int64_t *gaps) {
    for (int k = 0; k < n; ++k)
        gaps[k] = geometric_gap(raw[k], scale, bound);
}

// The steps below are put together from smaller kernels: those of `Parts`.
constexpr int TILE_ROWS = 16;

template <class Parts>
inline void tile_sums(const DenseStep &step, const std::uint8_t *const *rows, const std::int32_t *samples, int n,
                      std::int32_t *sums) {
    for (int r = 0; r < n; ++r) {
        const std::uint8_t *golden = step.golden_in + std::ptrdiff_t(samples[r]) * step.in_stride;
        const std::int32_t *kept = step.golden_sums + std::ptrdiff_t(samples[r]) * step.n_pad;
        std::int32_t *at = sums + std::ptrdiff_t(r) * step.n_pad;
        if (step.most < 0 ||
            !Parts::update(rows[r], golden, step.in_stride, kept, step.by_input, step.n_pad, step.most, at))
            Parts::multiply(rows + r, 1, step.packed, step.k4, step.n_pad, step.start, at);
    }
}

template <class Parts>
inline int forward_by(const DenseStep &step, const std::uint8_t *const *rows, const std::int32_t *samples, int n,
                      std::uint8_t *out, std::int32_t *kept, std::int32_t *scratch) {
    int found = 0;
    for (int r = 0; r < n; r += TILE_ROWS) {
        const int some = n - r < TILE_ROWS ? n - r : TILE_ROWS;
        tile_sums<Parts>(step, rows + r, samples + r, some, scratch);
        std::uint8_t *at = out + std::ptrdiff_t(found) * step.out_stride;
        Parts::requantise(step.requantise, scratch, some, step.neurons, step.n_pad, at, step.out_stride);
        found += Parts::keep_changed(at, some, step.out_stride, step.golden_out, samples + r, kept + found);
    }
    return found;
}

struct Portable {
    static constexpr auto update = update_portable;
    static constexpr auto multiply = multiply_portable;
    static constexpr auto requantise = requantise_portable;
    static constexpr auto keep_changed = keep_changed_portable;
    static constexpr auto tops = tops_portable;
};

template <class Parts>
int forward_parts(const DenseStep &step, const std::uint8_t *const *rows, const std::int32_t *samples, int n,
                  std::uint8_t *out, std::int32_t *kept) {
    std::int32_t scratch[TILE_ROWS * MOST_LANES];
    return forward_by<Parts>(step, rows, samples, n, out, kept, scratch);
}

template <class Parts>
void forward_tops_parts(const DenseStep &step, const std::uint8_t *const *rows, const std::int32_t *samples, int n,
                        Answers &answers) {
    std::int32_t scratch[TILE_ROWS * MOST_LANES];
    for (int r = 0; r < n; r += TILE_ROWS) {
        const int some = n - r < TILE_ROWS ? n - r : TILE_ROWS;
        tile_sums<Parts>(step, rows + r, samples + r, some, scratch);
        Parts::tops(scratch, samples + r, some, step.neurons, step.n_pad, step.spare, step.is_signed, answers);
    }
}

template <class Parts>
int forward_column_parts(const DenseStep &step, int column, const std::int16_t *deltas, const std::int32_t *samples,
                         int n, std::uint8_t *out, std::int32_t *kept) {
    std::int32_t sums[MOST_LANES];
    const std::int8_t *w = step.by_input + std::ptrdiff_t(column) * step.n_pad;
    int found = 0;
    for (int r = 0; r < n; ++r) {
        const std::int32_t *golden = step.golden_sums + std::ptrdiff_t(samples[r]) * step.n_pad;
        for (int j = 0; j < step.n_pad; ++j)
            sums[j] = added32(golden[j], deltas[r] * w[j]);
        std::uint8_t *at = out + std::ptrdiff_t(found) * step.out_stride;
        Parts::requantise(step.requantise, sums, 1, step.neurons, step.n_pad, at, step.out_stride);
        found += Parts::keep_changed(at, 1, step.out_stride, step.golden_out, samples + r, kept + found);
    }
    return found;
}

inline int column_portable(const ColumnStep &step, int n, std::int32_t first, std::int32_t *samples,
                           std::int16_t *deltas) {
    int found = 0;
    for (int k = 0; k < n; ++k) {
        const std::int32_t sum = added32(step.sums[k], added32(step.entering[k] * step.factor, step.start));
        const std::uint8_t value = std::uint8_t(requantised(step.requantise, sum));
        samples[found] = first + k;
        deltas[found] = std::int16_t(value - step.leaving[k]);
        found += value != step.leaving[k];
    }
    return found;
}

constexpr Kernels portable(decltype(Kernels::multiply) multiply) {
    return {multiply,
            update_portable,
            requantise_portable,
            add_column_portable,
            differing_portable,
            forward_parts<Portable>,
            forward_column_parts<Portable>,
            nullptr,
            forward_tops_parts<Portable>,
            column_portable,
            keep_changed_portable,
            tops_portable,
            gather_portable,
            max_pool_portable,
            dot_portable,
            adders_by<dot_portable>,
            decode_portable,
            gaps_portable};
}

} // namespace
} // namespace codesign::engine

#endif
