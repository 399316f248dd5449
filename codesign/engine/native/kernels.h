// Inner loops on packed integers: operands of 8 bits, sums of 32 bits modulo 2**32, one set an instruction set.
#ifndef CODESIGN_ENGINE_KERNELS_H_
#define CODESIGN_ENGINE_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "answers.h"

namespace codesign::engine {

// How bytes are made of sums: into the accumulator's range, perhaps a ReLU, rounding, overflow, and the offset by
// which signed values are stored as bytes.
struct Requantise {
    int sum_spare = 0; // bits of the 32 that the accumulator does not have; 0 where no sum leaves its range
    bool sum_signed = true;
    bool relu = false;
    int shift = 0;
    std::int32_t addend = 0;    // half of the last bit, or just below it
    std::int32_t even_mask = 0; // 1: a tie goes to the even neighbour
    bool wraps = false;         // else saturates at low and high
    int spare = 0;              // bits of the 32 that the result does not have
    bool is_signed = false;
    std::int32_t low = 0, high = 255;
    std::int32_t offset = 0;

    bool plain() const { return sum_spare == 0 && relu && !wraps && offset == 0; }
};

// The steps take blocks of up to so many neurons, padding included.
constexpr int MOST_LANES = 512;

// What a dense block does with rows that enter it.
struct DenseStep {
    // Fault-free: what enters (n_samples, in_stride), the sums (n_samples, n_pad), what leaves (n_samples, out_stride).
    const std::uint8_t *golden_in;
    const std::int32_t *golden_sums;
    const std::uint8_t *golden_out;
    int in_stride, out_stride;
    // The parameters: (k4, n_pad, 4), and by input (k, n_pad).
    const std::int8_t *packed, *by_input;
    const std::int32_t *start;
    int k4, n_pad, neurons;
    Requantise requantise;
    // Fault-free sums are updated where at most so many operands differ; negative: never, for other parameters.
    int most;
    // Accumulators that are logits.
    int spare;
    bool is_signed;
};

// Some neurons of a dense block of at most 64, the only ones whose parameters have changed, in slots of their own.
struct SomeNeurons {
    static constexpr int MOST = 32;
    const std::int8_t *packed; // (k4, 16 * vectors, 4)
    alignas(64) std::int32_t start[MOST];
    // Which of the slots, after their vectors were narrowed to words, become the first and the last eight bytes of each
    // sixteen of a row.
    alignas(64) std::uint16_t words[2][32];
    std::uint64_t mask; // of the neurons that have a slot
    int vectors;

    // The word of a slot: vectors are narrowed within parts of 128 bits.
    static int word_of(int slot) { return slot % 16 / 4 * 8 + slot / 16 * 4 + slot % 4; }
};

// A neuron's sums in all samples, with one weight changed.
struct ColumnStep {
    const std::int32_t *sums;
    const std::uint8_t *entering, *leaving; // fault-free operands of the weight, and bytes of the neuron
    std::int32_t factor, start;             // what is added: operand * factor + start
    Requantise requantise;
};

// A piece of up to 64 bytes of a sample that is among the operands of a pixel; `from` is negative in the padding.
struct Run {
    std::int32_t from, to, size;
};

// Bit numbers of a fault segment whose neurons all have as many bits, taken apart: see Segment in draw.h.
struct Decoder {
    std::int64_t step_bits = 1, neuron_bits = 1, word_bits = 1; // of a step, of a neuron at all its places, of a place
};

struct Decoded {
    std::int32_t time, neuron, position, bit;
};

// A struck adder of a dense layer without copies. `row` counts samples.
struct StruckAdder {
    std::int32_t row, neuron, place, bit;
    bool same_sum(const StruckAdder &other) const { return row == other.row && neuron == other.neuron; }
};

constexpr std::size_t adder_scratch(std::size_t n_faults) { return 6 * (n_faults + 16); }

// Sums in the making and what they are made of.
struct AdderStep {
    const std::int32_t *slots; // of each row, counted from first_row
    std::int32_t first_row;
    const std::uint8_t *const *operands; // of each slot
    std::int32_t *sums;                  // (slots, n_pad)
    int n_pad;
    const std::int8_t *by_neuron; // (neurons, k_pad)
    int k_pad;
    const std::int64_t *biases;
    const std::int32_t *spans; // first leaf and end of each adder
    int spare;                 // bits of the 32 that the accumulator does not have
    bool is_signed;
    const std::uint64_t *span_masks; // products that each adder sums; null where a neuron has more than 64
    std::int32_t *values;            // room for adder_scratch(faults) numbers
    std::int32_t *order, *deltas;    // room for all faults of one sum
};

struct Kernels {
    // sums[r] = start + rows[r] . weights, (n_rows, n_pad); weights are packed (k4, n_pad, 4).
    void (*multiply)(const std::uint8_t *const *rows, int n_rows, const std::int8_t *packed, int k4, int n_pad,
                     const std::int32_t *start, std::int32_t *sums);
    // sums = golden_sums + (row - golden_row) . weights (n_in, n_pad), where at most `most` of n_in values differ; n_in
    // is a multiple of 64. Returns whether it did.
    bool (*update)(const std::uint8_t *row, const std::uint8_t *golden_row, int n_in, const std::int32_t *golden_sums,
                   const std::int8_t *weights, int n_pad, int most, std::int32_t *sums);
    // Bytes of rows of n sums, n_pad apart; the bytes of a row begin `stride` behind those of the one before.
    void (*requantise)(const Requantise &how, const std::int32_t *sums, int n_rows, int n, int n_pad,
                       std::uint8_t *bytes, int stride);
    // sums += column * factor
    void (*add_column)(const std::uint8_t *column, std::int32_t factor, int n, std::int32_t *sums);
    // Appends the places, counted from `first`, where n bytes differ; returns the end of the list.
    std::int32_t *(*differing)(const std::uint8_t *a, const std::uint8_t *b, int n, std::int32_t first,
                               std::int32_t *places);
    // What leaves a dense block: the rows that differ from the fault-free ones, and their samples; returns how many.
    int (*forward)(const DenseStep &step, const std::uint8_t *const *rows, const std::int32_t *samples, int n,
                   std::uint8_t *out, std::int32_t *kept);
    // The same where of each row only the operand `column` has changed, by deltas[r].
    int (*forward_column)(const DenseStep &step, int column, const std::int16_t *deltas, const std::int32_t *samples,
                          int n, std::uint8_t *out, std::int32_t *kept);
    // As forward, of the fault-free rows from `first` on, with out_stride 64 and a plain requantise; null where it
    // would not be faster.
    int (*forward_some)(const DenseStep &step, const SomeNeurons &some, int first, int n, std::uint8_t *out,
                        std::int32_t *kept);
    // The changed answers among those that the sums of each row give.
    void (*forward_tops)(const DenseStep &step, const std::uint8_t *const *rows, const std::int32_t *samples, int n,
                         Answers &answers);
    // How bytes differ from the fault-free ones, where they do, and their samples counted from `first`; returns how
    // many.
    int (*column)(const ColumnStep &step, int n, std::int32_t first, std::int32_t *samples, std::int16_t *deltas);
    // Moves the rows up that differ from the golden rows of their samples, and notes those samples; returns how many.
    int (*keep_changed)(std::uint8_t *rows, int n_rows, int stride, const std::uint8_t *golden,
                        const std::int32_t *samples, std::int32_t *kept);
    // The changed answers of rows of n_pad with n values, after bringing them into 32 - spare bits.
    void (*tops)(const std::int32_t *sums, const std::int32_t *samples, int n_rows, int n, int n_pad, int spare,
                 bool is_signed, Answers &answers);
    // Copies runs in ascending order. 64 bytes behind each run's end may be read, and written behind its target.
    void (*gather)(const Run *runs, std::size_t n, const std::uint8_t *image, const std::uint8_t *padding,
                   std::uint8_t *operands);
    // Largest byte of some pixels of `channels` values; an absent pixel is negative. Up to 64 bytes behind may be set
    // to zero.
    void (*max_pool)(const std::uint8_t *image, const std::int32_t *places, int pixels, int n_places, int channels,
                     std::uint8_t *pooled);
    std::int32_t (*dot)(const std::uint8_t *values, const std::int8_t *weights, int n);
    // Inverts bits of adders' outputs, those of one sum side by side; operands are not negative.
    void (*adders)(const AdderStep &step, const StruckAdder *struck, std::size_t n);
    void (*decode)(const Decoder &by, const std::int64_t *numbers, int n, std::int32_t low_bit, Decoded *decoded);
    // Geometric gaps of raw random numbers, n a multiple of 8: see logarithm.h.
    void (*gaps)(const std::uint64_t *raw, int n, double scale, double bound, std::int64_t *gaps);
};

// The best set that the processor has, not above `level`: 1 plain, 2 AVX2, 3 AVX-512 VNNI; `level` becomes what it is.
const Kernels &kernels_up_to(int &level);

const Kernels &kernels_plain();
const Kernels *kernels_avx2(); // null where the compiler cannot
const Kernels *kernels_avx512();

} // namespace codesign::engine

#endif
