// The core's int8 multiply-add peak: independent chains of the fastest int8 instruction, on registers.
#include <cstdint>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

// Enough independent sums to hide the instruction's latency; few enough for the registers.
constexpr int kChains = 12;

#if defined(__x86_64__)

__attribute__((target("avx512f,avx512vnni"))) int64_t vnni(int64_t rounds) {
    __m512i sums[kChains], left = _mm512_set1_epi8(3), right = _mm512_set1_epi8(-2);
    for (auto &sum : sums) sum = _mm512_setzero_si512();
    for (int64_t i = 0; i < rounds; ++i) {
        for (auto &sum : sums) sum = _mm512_dpbusd_epi32(sum, left, right);
        asm volatile("" : "+v"(left), "+v"(right)); // the compiler must not see that nothing changes
    }
    __m512i total = sums[0];
    for (int k = 1; k < kChains; ++k) total = _mm512_add_epi32(total, sums[k]);
    return _mm512_reduce_add_epi32(total);
}

// Without int8 dot products: multiply-add to 16 bits, to 32 bits, and add. Three instructions, 32 multiply-adds.
__attribute__((target("avx2"))) int64_t avx2(int64_t rounds) {
    __m256i sums[kChains], left = _mm256_set1_epi8(3), right = _mm256_set1_epi8(-2), ones = _mm256_set1_epi16(1);
    for (auto &sum : sums) sum = _mm256_setzero_si256();
    for (int64_t i = 0; i < rounds; ++i) {
        for (auto &sum : sums) {
            asm volatile("" : "+x"(left));
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(left, right), ones));
        }
    }
    int32_t lanes[8];
    __m256i total = sums[0];
    for (int k = 1; k < kChains; ++k) total = _mm256_add_epi32(total, sums[k]);
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(lanes), total);
    int64_t found = 0;
    for (int32_t lane : lanes) found += lane;
    return found;
}

#endif

// What the compiler makes of a plain dot product with the instructions that every machine has.
int64_t plain(int64_t rounds) {
    int8_t left[512] = {}, right[512] = {};
    int64_t found = 0;
    for (int64_t i = 0; i < rounds; ++i) {
        asm volatile("" : : "r"(left), "r"(right) : "memory"); // the compiler must not see that nothing changes
        int32_t sum = 0;
        for (int k = 0; k < 512; ++k) sum += left[k] * right[k];
        found += sum;
    }
    return found;
}

} // namespace

// The fastest instructions of this machine: 2 AVX-512 VNNI, 1 AVX2, 0 neither.
extern "C" int peak_level() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512vnni")) return 2;
    if (__builtin_cpu_supports("avx2")) return 1;
#endif
    return 0;
}

// Does that many rounds; gives the multiply-adds done, and in `sink` a number that keeps them from being left out.
extern "C" int64_t peak_run(int level, int64_t rounds, int64_t *sink) {
#if defined(__x86_64__)
    if (level == 2) {
        *sink = vnni(rounds);
        return rounds * kChains * 64;
    }
    if (level == 1) {
        *sink = avx2(rounds);
        return rounds * kChains * 32;
    }
#endif
    *sink = plain(rounds);
    return rounds * 512;
}
