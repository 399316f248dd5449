// The loops of lanes.h on vectors as wide as the instruction set that a translation unit is compiled for.
// Everything is in an unnamed namespace: no two such units may share the code of a function.
#ifndef CODESIGN_ENGINE_LANES_PORTABLE_H_
#define CODESIGN_ENGINE_LANES_PORTABLE_H_

#include <cstring>
#include <type_traits>

#include "lanes.h"

// Vectors are passed between inlined functions only.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace codesign::engine {
namespace {

#if defined(__AVX512F__)
constexpr int VECTOR_BYTES = 64;
#elif defined(__AVX2__)
constexpr int VECTOR_BYTES = 32;
#else
constexpr int VECTOR_BYTES = 16;
#endif

template <class T> struct Vectors;
template <> struct Vectors<std::int32_t> {
    typedef std::int32_t Signed __attribute__((vector_size(VECTOR_BYTES)));
    typedef std::uint32_t Unsigned __attribute__((vector_size(VECTOR_BYTES)));
};
template <> struct Vectors<std::int64_t> {
    typedef std::int64_t Signed __attribute__((vector_size(VECTOR_BYTES)));
    typedef std::uint64_t Unsigned __attribute__((vector_size(VECTOR_BYTES)));
};
template <class T> using Signed = typename Vectors<T>::Signed;
template <class T> using Unsigned = typename Vectors<T>::Unsigned; // for arithmetic that wraps

#define INLINE inline __attribute__((always_inline))

template <class T> constexpr int PER_VECTOR = VECTOR_BYTES / int(sizeof(T));
template <class T> constexpr int PER_GROUP = LANE_GROUP / PER_VECTOR<T>; // vectors

template <class T> INLINE Signed<T> load(const T *at) {
    Signed<T> found;
    std::memcpy(&found, at, sizeof found);
    return found;
}
template <class T> INLINE void store(T *at, Signed<T> value) { std::memcpy(at, &value, sizeof value); }
template <class T> INLINE Signed<T> all(T value) { return value - Signed<T>{}; }
template <class T> INLINE Signed<T> added(Signed<T> a, Signed<T> b) {
    return Signed<T>(Unsigned<T>(a) + Unsigned<T>(b));
}
template <class T> INLINE Signed<T> product(Signed<T> a, Signed<T> b) {
    return Signed<T>(Unsigned<T>(a) * Unsigned<T>(b));
}

template <class T> INLINE Signed<T> held(Signed<T> value, int spare, bool is_signed) {
    const Unsigned<T> top = Unsigned<T>(value) << spare;
    return is_signed ? Signed<T>(top) >> spare : Signed<T>(top >> spare);
}

template <class T> INLINE Signed<T> clamped(Signed<T> value, T low, T high) {
    value = value < low ? all<T>(low) : value;
    return value > high ? all<T>(high) : value;
}

template <class T> INLINE Signed<T> fitted(const LaneCast<T> &how, Signed<T> value) {
    switch (how.into) {
    case LaneCast<T>::Into::WRAP:
        return held<T>(value, how.spare, how.is_signed);
    case LaneCast<T>::Into::CLAMP:
        return clamped<T>(value, how.low, how.high);
    case LaneCast<T>::Into::ZERO:
        return value & (value >= how.low) & (value <= how.high);
    default:
        return value;
    }
}

template <class T> INLINE Signed<T> shifted(const LaneCast<T> &how, Signed<T> value) {
    if (how.shift < 0)
        return Signed<T>(Unsigned<T>(clamped<T>(value, how.held_low, how.held_high)) << -how.shift);
    if (how.shift == 0)
        return value;
    const Signed<T> floor = value >> how.shift;
    if (!how.rounds)
        return floor;
    const Signed<T> rest = Signed<T>(Unsigned<T>(value) - (Unsigned<T>(floor) << how.shift));
    const Signed<T> odd = -(floor & 1);
    const Signed<T> bound = how.above + ((value < 0) & how.if_negative) + (odd & how.if_odd);
    return floor - (rest > bound); // a comparison is -1 where it holds
}

template <class T> INLINE Signed<T> cast_one(const LaneCast<T> &how, Signed<T> value) {
    if (how.wraps_first)
        value = held<T>(value, how.first_spare, how.first_signed);
    if (how.relu)
        value = value > 0 ? value : Signed<T>{};
    return fitted<T>(how, shifted<T>(how, value));
}

template <class T> void cast(const LaneCast<T> &given, const T *row, T *to, int n) {
    const LaneCast<T> how = given;
    for (int k = 0; k < n; k += PER_VECTOR<T>)
        store<T>(to + k, cast_one<T>(how, load<T>(row + k)));
}

// The inner loop has the length for which compilers use vectors whatever n is.
template <class From, class To> void convert(const void *from, void *to, int n) {
    const From *__restrict a = static_cast<const From *>(from);
    To *__restrict b = static_cast<To *>(to);
    for (int k = 0; k < n; k += LANE_GROUP)
        for (int lane = 0; lane < LANE_GROUP; ++lane)
            b[k + lane] = To(a[k + lane]);
}

template <class T> void unpack(const void *from, Stored as, T *row, int n) {
    switch (as.bytes) {
    case 1:
        return as.is_signed ? convert<std::int8_t, T>(from, row, n) : convert<std::uint8_t, T>(from, row, n);
    case 2:
        return as.is_signed ? convert<std::int16_t, T>(from, row, n) : convert<std::uint16_t, T>(from, row, n);
    case 4:
        return as.is_signed ? convert<std::int32_t, T>(from, row, n) : convert<std::uint32_t, T>(from, row, n);
    default:
        return convert<std::int64_t, T>(from, row, n);
    }
}

template <class T> void pack(const T *row, Stored as, void *to, int n) {
    switch (as.bytes) {
    case 1:
        return convert<T, std::uint8_t>(row, to, n);
    case 2:
        return convert<T, std::uint16_t>(row, to, n);
    case 4:
        return convert<T, std::uint32_t>(row, to, n);
    default:
        return convert<T, std::int64_t>(row, to, n);
    }
}

// J sums of N vectors are held in registers.
template <class T, int J, int N>
INLINE void tile(const T *const *values, const T *const *weights, int n_terms, int first, int at, T *sums, int n) {
    Signed<T> found[J][N];
#pragma GCC unroll 8
    for (int j = 0; j < J; ++j)
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v)
            found[j][v] = load<T>(sums + std::ptrdiff_t(j) * n + v * PER_VECTOR<T>);
    for (int term = 0; term < n_terms; ++term) {
        Signed<T> x[N];
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v)
            x[v] = load<T>(values[term] + at + v * PER_VECTOR<T>);
        const T *w = weights[term] + first;
#pragma GCC unroll 8
        for (int j = 0; j < J; ++j)
#pragma GCC unroll 8
            for (int v = 0; v < N; ++v)
                found[j][v] = added<T>(found[j][v], product<T>(x[v], all<T>(w[j])));
    }
#pragma GCC unroll 8
    for (int j = 0; j < J; ++j)
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v)
            store<T>(sums + std::ptrdiff_t(j) * n + v * PER_VECTOR<T>, found[j][v]);
}

template <class T, int N>
INLINE void tiles(const T *const *values, const T *const *weights, int n_terms, T *sums, int n_sums, int at, int n) {
    int j = 0;
    for (; j + 4 <= n_sums; j += 4)
        tile<T, 4, N>(values, weights, n_terms, j, at, sums + std::ptrdiff_t(j) * n + at, n);
    for (; j + 2 <= n_sums; j += 2)
        tile<T, 2, N>(values, weights, n_terms, j, at, sums + std::ptrdiff_t(j) * n + at, n);
    for (; j < n_sums; ++j)
        tile<T, 1, N>(values, weights, n_terms, j, at, sums + std::ptrdiff_t(j) * n + at, n);
}

template <class T>
void accumulate(const T *const *values, const T *const *weights, int n_terms, T *sums, int n_sums, int n) {
    constexpr int N = VECTOR_BYTES == 64 ? 4 : 2; // of 32 or of 16 registers
    int at = 0;
    for (; at + N * PER_VECTOR<T> <= n; at += N * PER_VECTOR<T>)
        tiles<T, N>(values, weights, n_terms, sums, n_sums, at, n);
    for (; at < n; at += PER_VECTOR<T>)
        tiles<T, 1>(values, weights, n_terms, sums, n_sums, at, n);
}

template <class T> void chain(const Chain<T> &of, T *sums, int n) {
    const LaneCast<T> to_leaf = of.product, to_sum = of.sum;
    for (int at = 0; at < n; at += LANE_GROUP) {
        Signed<T> total[PER_GROUP<T>];
        for (int v = 0; v < PER_GROUP<T>; ++v)
            total[v] = all<T>(of.start);
        for (int k = 0; k < of.fan_in; ++k) {
            const Signed<T> w = all<T>(of.weights[k * of.stride]);
            for (int v = 0; v < PER_GROUP<T>; ++v) {
                const Signed<T> x = load<T>(of.values[k] + at + v * PER_VECTOR<T>);
                const Signed<T> leaf = cast_one<T>(to_leaf, product<T>(x, w));
                total[v] = fitted<T>(to_sum, added<T>(total[v], leaf));
            }
        }
        for (int v = 0; v < PER_GROUP<T>; ++v)
            store<T>(sums + at + v * PER_VECTOR<T>, total[v]);
    }
}

template <class T> bool differ(const T *row, T *golden, int n) {
    Signed<T> any{};
    for (int k = 0; k < n; k += PER_VECTOR<T>) {
        const Signed<T> delta = Signed<T>(Unsigned<T>(load<T>(row + k)) - Unsigned<T>(load<T>(golden + k)));
        store<T>(golden + k, delta);
        any |= delta;
    }
    T words[PER_VECTOR<T>], found = 0;
    store<T>(words, any);
    for (const T word : words)
        found |= word;
    return found != 0;
}

template <class T> void add(const T *row, T *sums, int n) {
    for (int k = 0; k < n; k += PER_VECTOR<T>)
        store<T>(sums + k, added<T>(load<T>(sums + k), load<T>(row + k)));
}

// A quotient of numbers of 32 bits is at least 2**-32 away from the next whole number: doubles tell it exactly.
template <class T> void divide(T by, T *row, int n) {
    const double divisor = double(by);
    for (int k = 0; k < n; ++k)
        row[k] = sizeof(T) == 4 ? T(double(row[k]) / divisor) : row[k] / by;
}

template <class T> void raise(const T *row, T *largest, int n) {
    for (int k = 0; k < n; ++k)
        largest[k] = row[k] > largest[k] ? row[k] : largest[k];
}

template <class T> void look_up(const T *table, T offset, const T *row, T *to, int n) {
    for (int k = 0; k < n; ++k)
        to[k] = table[row[k] + offset];
}

template <class T> void top(const T *row, T number, T *largest, T *tops, int n) {
    for (int k = 0; k < n; ++k) {
        tops[k] = row[k] > largest[k] ? number : tops[k];
        largest[k] = row[k] > largest[k] ? row[k] : largest[k];
    }
}

template <class T> T dot(const T *a, const T *b, int n) {
    typename std::make_unsigned<T>::type sum = 0;
    for (int k = 0; k < n; ++k)
        sum += typename std::make_unsigned<T>::type(a[k]) * typename std::make_unsigned<T>::type(b[k]);
    return T(sum);
}

template <class T>
constexpr LaneKernels<T> LANES = {unpack<T>, pack<T>,   accumulate<T>, chain<T>,   cast<T>, differ<T>,
                                  add<T>,    divide<T>, raise<T>,      look_up<T>, top<T>,  dot<T>};

} // namespace
} // namespace codesign::engine

#endif
