// Compiled with AVX-512 VNNI: convolutions, the lanes of a vector being samples. Nothing is gathered for a pixel, and
// any number of neurons fills the vectors.
#include "kernels_conv.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) &&                 \
    defined(__AVX512VNNI__)

#include <cstring>

#include "vectors_avx512.h"

namespace codesign::engine {
namespace {

static_assert(BATCH == LANES && VECTOR == 4 * LANES, "a lane holds four bytes of a sample");

// Sixteen by sixteen dwords.
inline void transpose(__m512i (&v)[LANES]) {
    __m512i pairs[LANES];
    UNROLLED
    for (int k = 0; k < LANES; k += 2) {
        pairs[k] = _mm512_unpacklo_epi32(v[k], v[k + 1]);
        pairs[k + 1] = _mm512_unpackhi_epi32(v[k], v[k + 1]);
    }
    // Part p (of 128 bits) of v[4 * k + c] becomes column 4 * p + c of rows 4 * k to 4 * k + 3.
    UNROLLED
    for (int k = 0; k < LANES; k += 4)
        for (int half = 0; half < 2; ++half) {
            v[k + 2 * half] = _mm512_unpacklo_epi64(pairs[k + half], pairs[k + 2 + half]);
            v[k + 2 * half + 1] = _mm512_unpackhi_epi64(pairs[k + half], pairs[k + 2 + half]);
        }
    UNROLLED
    for (int c = 0; c < 4; ++c) {
        const __m512i low = _mm512_shuffle_i32x4(v[c], v[4 + c], 0x44);
        const __m512i high = _mm512_shuffle_i32x4(v[c], v[4 + c], 0xEE);
        const __m512i other_low = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0x44);
        const __m512i other_high = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0xEE);
        v[c] = _mm512_shuffle_i32x4(low, other_low, 0x88);
        v[4 + c] = _mm512_shuffle_i32x4(low, other_low, 0xDD);
        v[8 + c] = _mm512_shuffle_i32x4(high, other_high, 0x88);
        v[12 + c] = _mm512_shuffle_i32x4(high, other_high, 0xDD);
    }
}

void interleave(const std::uint8_t *const *images, int shift, int n_dwords, const std::int32_t *targets,
                std::uint8_t *vectors) {
    for (int first = 0; first < n_dwords; first += LANES) {
        __m512i v[LANES];
        UNROLLED
        for (int k = 0; k < LANES; ++k)
            v[k] = load(images[k] + shift + 4 * first);
        transpose(v);
        UNROLLED
        for (int k = 0; k < LANES; ++k)
            store(vectors + std::ptrdiff_t(targets[first + k]) * VECTOR, v[k]);
    }
}

// Sums of P pixels and J neurons, in registers.
template <int P, int J>
inline void tile_sums(const ConvStep &step, const std::int32_t *pixels, const std::int8_t *weights,
                      const std::int32_t *start, __m512i (&found)[P][J]) {
    UNROLLED
    for (int j = 0; j < J; ++j) {
        const __m512i first = _mm512_set1_epi32(start[j]);
        UNROLLED
        for (int p = 0; p < P; ++p)
            found[p][j] = first;
    }
    const std::uint8_t *x[P];
    UNROLLED
    for (int p = 0; p < P; ++p)
        x[p] = step.vectors + std::ptrdiff_t(pixels[p]) * VECTOR;
    for (int g = 0; g < step.n_groups; ++g, weights += 4 * J) {
        const std::ptrdiff_t at = std::ptrdiff_t(step.groups[g]) * VECTOR;
        __m512i values[P];
        UNROLLED
        for (int p = 0; p < P; ++p)
            values[p] = load(x[p] + at);
        UNROLLED
        for (int j = 0; j < J; ++j) {
            std::int32_t four;
            std::memcpy(&four, weights + 4 * j, sizeof four);
            const __m512i w = _mm512_set1_epi32(four);
            UNROLLED
            for (int p = 0; p < P; ++p)
                add_products(found[p][j], values[p], w);
        }
    }
}

template <bool PLAIN>
inline void leave(const ConvStep &step, const Constants &by, __m512i sum, int output, int neuron) {
    const __m512i value = PLAIN ? _mm512_min_epi32(rounded(by, _mm512_max_epi32(sum, _mm512_setzero_si512())), by.high)
                                : requantised<false>(step.requantise, by, sum);
    std::uint8_t *to = step.planes + (std::ptrdiff_t(output) * step.channels + neuron) * BATCH;
    _mm_storeu_si128(reinterpret_cast<__m128i *>(to), _mm512_cvtepi32_epi8(value));
}

// P outputs of one pixel each.
template <bool PLAIN, int P, int J>
inline void each(const ConvStep &step, const Constants &by, int output, const std::int8_t *weights, int first) {
    __m512i found[P][J];
    tile_sums<P, J>(step, step.pixels + output, weights, step.start + first, found);
    UNROLLED
    for (int p = 0; p < P; ++p)
        UNROLLED
    for (int j = 0; j < J; ++j)
        leave<PLAIN>(step, by, found[p][j], output + p, step.neurons[first + j]);
}

// One output, of n_places pixels, P at a time. What a sum becomes never falls when the sum rises.
template <bool PLAIN, int P, int J>
inline void largest(const ConvStep &step, const Constants &by, int output, const std::int8_t *weights, int first) {
    __m512i best[J];
    const std::int32_t *pixels = step.pixels + std::ptrdiff_t(output) * step.n_places;
    for (int place = 0; place < step.n_places; place += P) {
        __m512i found[P][J];
        tile_sums<P, J>(step, pixels + place, weights, step.start + first, found);
        UNROLLED
        for (int j = 0; j < J; ++j) {
            __m512i top = found[0][j];
            UNROLLED
            for (int p = 1; p < P; ++p)
                top = _mm512_max_epi32(top, found[p][j]);
            best[j] = place ? _mm512_max_epi32(best[j], top) : top;
        }
    }
    UNROLLED
    for (int j = 0; j < J; ++j)
        leave<PLAIN>(step, by, best[j], output, step.neurons[first + j]);
}

template <bool PLAIN, int P, int J, bool POOLS>
inline void neurons(const ConvStep &step, const Constants &by, int output, int first) {
    const std::int8_t *weights = step.weights + std::ptrdiff_t(first) * step.n_groups * 4;
    if (POOLS)
        largest<PLAIN, P, J>(step, by, output, weights, first);
    else
        each<PLAIN, P, J>(step, by, output, weights, first);
}

template <bool PLAIN, int P, bool POOLS> void outputs(const ConvStep &step) {
    const Constants by(step.requantise);
    for (int output = 0; output < step.n_outputs; output += POOLS ? 1 : P) {
        int first = 0;
        for (; first + MOST_NEURONS <= step.n_neurons; first += MOST_NEURONS)
            neurons<PLAIN, P, MOST_NEURONS, POOLS>(step, by, output, first);
        switch (step.n_neurons - first) {
        case 3:
            neurons<PLAIN, P, 3, POOLS>(step, by, output, first);
            break;
        case 2:
            neurons<PLAIN, P, 2, POOLS>(step, by, output, first);
            break;
        case 1:
            neurons<PLAIN, P, 1, POOLS>(step, by, output, first);
            break;
        default:
            break;
        }
    }
}

template <bool PLAIN> void all_outputs(const ConvStep &step) {
    if (step.n_places == 1)
        outputs<PLAIN, MOST_PIXELS, false>(step);
    else if (step.n_places % 4 == 0)
        outputs<PLAIN, 4, true>(step);
    else if (step.n_places % 3 == 0)
        outputs<PLAIN, 3, true>(step);
    else
        outputs<PLAIN, 2, true>(step);
}

void convolve(const ConvStep &step) {
    if (step.requantise.plain())
        all_outputs<true>(step);
    else
        all_outputs<false>(step);
}

std::uint32_t rows_of(const std::uint8_t *planes, const std::uint64_t *masks, int stride,
                      const std::uint8_t *const *golden, std::uint8_t *rows) {
    // Four planes of sixteen bytes to sixteen dwords of one sample each.
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i dwords = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    std::uint32_t differ = 0;
    for (int at = 0; at < stride; at += VECTOR, planes += VECTOR * BATCH, ++masks) {
        __m512i v[LANES];
        UNROLLED
        for (int k = 0; k < LANES; ++k)
            v[k] = _mm512_shuffle_epi8(_mm512_permutexvar_epi32(order, load(planes + k * VECTOR)), dwords);
        transpose(v);
        UNROLLED
        for (int k = 0; k < LANES; ++k) {
            const __m512i before = load(golden[k] + at), row = _mm512_mask_mov_epi8(before, *masks, v[k]);
            differ |= std::uint32_t(_mm512_cmpneq_epu8_mask(before, row) != 0) << k;
            store(rows + std::ptrdiff_t(k) * stride + at, row);
        }
    }
    return differ;
}

constexpr ConvKernels AVX512 = {interleave, convolve, rows_of};

} // namespace

const ConvKernels *conv_kernels_avx512() { return &AVX512; }

} // namespace codesign::engine

#else

namespace codesign::engine {
const ConvKernels *conv_kernels_avx512() { return nullptr; }
} // namespace codesign::engine

#endif
