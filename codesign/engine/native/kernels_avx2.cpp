// Compiled with AVX2: the portable loops, which the compiler makes vectors of, and the product by 16-bit pairs.
#include "kernels_portable.h"

#ifdef __AVX2__

#include <immintrin.h>

namespace codesign::engine {
namespace {

// Products of pairs are added in 32 bits, so nothing saturates as it would with 8-bit pairs.
void multiply(const std::uint8_t *const *rows, int n_rows, const std::int8_t *packed, int k4, int n_pad,
              const std::int32_t *start, std::int32_t *sums) {
    for (int r = 0; r < n_rows; ++r, sums += n_pad)
        for (int j = 0; j < n_pad; j += 8) {
            const std::int8_t *w = packed + 4 * j;
            const __m256i first_sums = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(start + j));
            __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();
            for (int k = 0; k < k4; ++k, w += 4 * n_pad) {
                std::int32_t four;
                std::memcpy(&four, rows[r] + 4 * k, sizeof four);
                const __m256i x = _mm256_cvtepu8_epi16(_mm_set1_epi32(four));
                const __m256i weights = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(w));
                const __m256i first = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(weights));
                const __m256i second = _mm256_cvtepi8_epi16(_mm256_extracti128_si256(weights, 1));
                low = _mm256_add_epi32(low, _mm256_madd_epi16(x, first));
                high = _mm256_add_epi32(high, _mm256_madd_epi16(x, second));
            }
            // Each neuron has two neighbouring sums; hadd works within halves of 128 bits.
            const __m256i pairs = _mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), 0xD8);
            _mm256_storeu_si256(reinterpret_cast<__m256i *>(sums + j), _mm256_add_epi32(first_sums, pairs));
        }
}

constexpr Kernels AVX2 = portable(multiply);

} // namespace

const Kernels *kernels_avx2() { return &AVX2; }

} // namespace codesign::engine

#else

namespace codesign::engine {
const Kernels *kernels_avx2() { return nullptr; }
} // namespace codesign::engine

#endif
