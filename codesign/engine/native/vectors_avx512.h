// What the files of AVX-512 kernels share. Everything is in an unnamed namespace: see kernels_portable.h.
#ifndef CODESIGN_ENGINE_VECTORS_AVX512_H_
#define CODESIGN_ENGINE_VECTORS_AVX512_H_

// GCC takes the deliberately undefined operands in its own header for mistakes.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include "kernels.h"

namespace codesign::engine {
namespace {

constexpr int LANES = 16;

inline __m512i load(const void *at) { return _mm512_loadu_si512(at); }
inline void store(void *at, __m512i value) { _mm512_storeu_si512(at, value); }

// sum += four products of each lane. Written as assembly because compilers move the sums of the intrinsic, whose first
// operand is overwritten, from register to register in every turn of a loop.
inline void add_products(__m512i &sum, __m512i values, __m512i weights) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(values), "v"(weights));
}

#define UNROLLED _Pragma("GCC unroll 16")

inline __m512i into_range(__m512i value, int spare, bool is_signed) {
    const __m128i count = _mm_cvtsi32_si128(spare);
    const __m512i top = _mm512_sll_epi32(value, count);
    return is_signed ? _mm512_sra_epi32(top, count) : _mm512_srl_epi32(top, count);
}

// Requantise fields as vectors, so that a loop loads them once.
struct Constants {
    explicit Constants(const Requantise &how)
        : shift(_mm_cvtsi32_si128(how.shift)), addend(_mm512_set1_epi32(how.addend)),
          even(_mm512_set1_epi32(how.even_mask)), low(_mm512_set1_epi32(how.low)), high(_mm512_set1_epi32(how.high)),
          raise(_mm512_set1_epi32(how.addend + how.even_mask)),
          below(_mm512_set1_epi32(how.even_mask ? (1 << how.shift) - 1 : -1)) {}
    __m128i shift;
    __m512i addend, even, low, high;
    __m512i raise, below; // for rounded_raised
};

// `PLAIN`: the sum is in range, and what leaves is an unsigned, saturated ReLU.
template <bool PLAIN> inline __m512i requantised(const Requantise &how, const Constants &by, __m512i value) {
    if (!PLAIN && how.sum_spare)
        value = into_range(value, how.sum_spare, how.sum_signed);
    if (PLAIN || how.relu)
        value = _mm512_max_epi32(value, _mm512_setzero_si512());
    const __m512i odd = _mm512_and_si512(_mm512_sra_epi32(value, by.shift), by.even);
    value = _mm512_sra_epi32(_mm512_add_epi32(_mm512_add_epi32(value, by.addend), odd), by.shift);
    if (!PLAIN && how.wraps)
        value = into_range(value, how.spare, how.is_signed);
    else
        value = _mm512_min_epi32(value, by.high);
    if (PLAIN)
        return value;
    if (!how.wraps)
        value = _mm512_max_epi32(value, by.low);
    return _mm512_add_epi32(value, _mm512_set1_epi32(how.offset));
}

// Rounded sums that need no lower bound before they are packed with saturation, given what is `raise` above them. Of a
// tie the larger neighbour has been taken; where the even one is wanted its last bit goes.
inline __m512i rounded_raised(const Constants &by, __m512i raised) {
    const __mmask16 ties = _mm512_testn_epi32_mask(raised, by.below);
    const __m512i value = _mm512_sra_epi32(raised, by.shift);
    return _mm512_mask_and_epi32(value, ties, value, _mm512_set1_epi32(~1));
}
inline __m512i rounded(const Constants &by, __m512i value) {
    return rounded_raised(by, _mm512_add_epi32(value, by.raise));
}

} // namespace
} // namespace codesign::engine

#endif
