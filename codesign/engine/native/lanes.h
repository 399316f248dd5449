// Inner loops over samples side by side ("lanes"): integers of 32 or 64 bits, one set an instruction set. Arithmetic is
// modulo 2**32 or 2**64; see LanePlan in lane_plan.h for when that is exact.
#ifndef CODESIGN_ENGINE_LANES_H_
#define CODESIGN_ENGINE_LANES_H_

#include <cstddef>

#include "fixed.h"

namespace codesign::engine {

// Rows have a multiple of so many lanes.
constexpr int LANE_GROUP = 16;

// A cast of whole rows: perhaps into an accumulator's range first, perhaps a ReLU, then rounding and overflow.
template <class T> struct LaneCast {
    enum class Into { ANY, WRAP, CLAMP, ZERO }; // ANY: every value fits

    LaneCast() = default;
    LaneCast(int frac, const FixedPoint &to);
    LaneCast(const FixedPoint &from, const FixedPoint &to) : LaneCast(from.frac, assigned(from, to)) {}

    bool wraps_first = false, first_signed = true;
    int first_spare = 0; // bits of T that the accumulator does not have
    bool relu = false;
    int shift = 0; // to the right; negative to the left, of values held between held_low and held_high
    T held_low = 0, held_high = 0;
    bool rounds = false; // up where what is shifted out exceeds above + (negative: if_negative) + (odd: if_odd)
    T above = 0, if_negative = 0, if_odd = 0;
    Into into = Into::ANY;
    int spare = 0;
    bool is_signed = true;
    T low = 0, high = 0;

    void wrap_first(const FixedPoint &accumulator) {
        wraps_first = true;
        first_spare = int(8 * sizeof(T)) - accumulator.width;
        first_signed = accumulator.is_signed;
    }
};

// How integers are stored: the narrowest of 1, 2, 4 and 8 bytes.
struct Stored {
    int bytes = 8;
    bool is_signed = true;
};

// Sums that are added leaf by leaf: each product is cast, each sum brought into range.
template <class T> struct Chain {
    LaneCast<T> product, sum;
    const T *const *values; // (fan_in, lanes)
    const T *weights;       // (fan_in,), `stride` apart
    std::ptrdiff_t stride;
    int fan_in;
    T start;
};

// Rows have n values, a multiple of LANE_GROUP.
template <class T> struct LaneKernels {
    void (*unpack)(const void *from, Stored as, T *row, int n);
    void (*pack)(const T *row, Stored as, void *to, int n);
    // sums (n_sums, n) += the sum over terms of values[term] * weights[term][sum].
    void (*accumulate)(const T *const *values, const T *const *weights, int n_terms, T *sums, int n_sums, int n);
    void (*chain)(const Chain<T> &of, T *sums, int n);
    void (*cast)(const LaneCast<T> &how, const T *row, T *to, int n);
    // golden becomes row - golden; returns whether they differ.
    bool (*differ)(const T *row, T *golden, int n);
    void (*add)(const T *row, T *sums, int n);
    // By a number above zero, towards zero.
    void (*divide)(T by, T *row, int n);
    void (*raise)(const T *row, T *largest, int n);
    // row = table[row + offset]
    void (*look_up)(const T *table, T offset, const T *row, T *to, int n);
    // Where a value exceeds the largest so far it becomes that, and its number the top.
    void (*top)(const T *row, T number, T *largest, T *tops, int n);
    T (*dot)(const T *a, const T *b, int n);
};

// The best set that the processor has, not above `level`: see kernels_up_to.
template <class T> const LaneKernels<T> &lanes_up_to(int level);

template <class T> const LaneKernels<T> *lanes_avx2(); // null where the compiler cannot
template <class T> const LaneKernels<T> *lanes_avx512();
template <> const LaneKernels<std::int32_t> *lanes_avx2();
template <> const LaneKernels<std::int64_t> *lanes_avx2();
template <> const LaneKernels<std::int32_t> *lanes_avx512();
template <> const LaneKernels<std::int64_t> *lanes_avx512();

} // namespace codesign::engine

#endif
