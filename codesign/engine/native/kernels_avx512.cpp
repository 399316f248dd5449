// Compiled with AVX-512 and its dot product of bytes (VNNI), which adds four products in 32 bits without saturation.
#include "kernels_portable.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) &&                 \
    defined(__AVX512VNNI__)

#include "vectors_avx512.h"

namespace codesign::engine {
namespace {

// Sums of R rows in registers, R by C vectors, and `raise` above them. Weights are packed (k4, n_pad, 4).
template <int R, int C>
inline void full_sums(const std::uint8_t *const *rows, const std::int8_t *packed, int k4, int n_pad,
                      const std::int32_t *start, __m512i raise, __m512i (&found)[R][C]) {
    UNROLLED
    for (int c = 0; c < C; ++c) {
        const __m512i first = _mm512_add_epi32(load(start + c * LANES), raise);
        UNROLLED
        for (int r = 0; r < R; ++r)
            found[r][c] = first;
    }
    const std::uint8_t *x[R];
    UNROLLED
    for (int r = 0; r < R; ++r)
        x[r] = rows[r];
    for (int k = 0; k < k4; ++k, packed += 4 * std::ptrdiff_t(n_pad)) {
        __m512i w[C];
        UNROLLED
        for (int c = 0; c < C; ++c)
            w[c] = load(packed + 4 * c * LANES);
        UNROLLED
        for (int r = 0; r < R; ++r) {
            std::int32_t four;
            std::memcpy(&four, x[r] + 4 * k, sizeof four);
            const __m512i values = _mm512_set1_epi32(four);
            UNROLLED
            for (int c = 0; c < C; ++c)
                add_products(found[r][c], values, w[c]);
        }
    }
}

template <int R, int C>
inline void tile(const std::uint8_t *const *rows, const std::int8_t *packed, int k4, int n_pad,
                 const std::int32_t *start, std::int32_t *sums) {
    __m512i found[R][C];
    full_sums<R, C>(rows, packed, k4, n_pad, start, _mm512_setzero_si512(), found);
    UNROLLED
    for (int r = 0; r < R; ++r)
        UNROLLED
    for (int c = 0; c < C; ++c)
        store(sums + std::ptrdiff_t(r) * n_pad + c * LANES, found[r][c]);
}

template <int R, int C>
inline void columns(const std::uint8_t *const *rows, int n_rows, const std::int8_t *packed, int k4, int n_pad,
                    const std::int32_t *start, std::int32_t *sums) {
    int r = 0;
    for (; r + R <= n_rows; r += R)
        tile<R, C>(rows + r, packed, k4, n_pad, start, sums + std::ptrdiff_t(r) * n_pad);
    for (; r < n_rows; ++r)
        tile<1, C>(rows + r, packed, k4, n_pad, start, sums + std::ptrdiff_t(r) * n_pad);
}

void multiply(const std::uint8_t *const *rows, int n_rows, const std::int8_t *packed, int k4, int n_pad,
              const std::int32_t *start, std::int32_t *sums) {
    int j = 0;
    for (; j + 4 * LANES <= n_pad; j += 4 * LANES)
        columns<6, 4>(rows, n_rows, packed + 4 * j, k4, n_pad, start + j, sums + j);
    for (; j + 2 * LANES <= n_pad; j += 2 * LANES)
        columns<8, 2>(rows, n_rows, packed + 4 * j, k4, n_pad, start + j, sums + j);
    for (; j < n_pad; j += LANES)
        columns<8, 1>(rows, n_rows, packed + 4 * j, k4, n_pad, start + j, sums + j);
}

bool update(const std::uint8_t *row, const std::uint8_t *golden_row, int n_in, const std::int32_t *golden_sums,
            const std::int8_t *weights, int n_pad, int most, std::int32_t *sums) {
    int changed = 0;
    for (int k = 0; k < n_in; k += 64)
        changed += __builtin_popcountll(_mm512_cmpneq_epu8_mask(load(row + k), load(golden_row + k)));
    if (changed > most)
        return false;
    const std::int32_t *before = golden_sums;
    for (int k = 0; changed; k += 64) {
        std::uint64_t places = _mm512_cmpneq_epu8_mask(load(row + k), load(golden_row + k));
        for (; places; places &= places - 1, --changed) {
            const int at = k + __builtin_ctzll(places);
            const __m512i delta = _mm512_set1_epi32(row[at] - golden_row[at]);
            const std::int8_t *w = weights + std::ptrdiff_t(at) * n_pad;
            for (int j = 0; j < n_pad; j += LANES) {
                const __m512i factors = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(w + j)));
                store(sums + j, _mm512_add_epi32(load(before + j), _mm512_mullo_epi32(delta, factors)));
            }
            before = sums;
        }
    }
    if (before == golden_sums)
        for (int j = 0; j < n_pad; j += LANES)
            store(sums + j, load(golden_sums + j));
    return true;
}

template <bool PLAIN>
inline void requantise_row(const Requantise &how, const Constants &by, const std::int32_t *sums, int n,
                           std::uint8_t *bytes) {
    int k = 0;
    for (; k + LANES <= n; k += LANES) {
        const __m512i value = requantised<PLAIN>(how, by, load(sums + k));
        _mm_storeu_si128(reinterpret_cast<__m128i *>(bytes + k), _mm512_cvtepi32_epi8(value));
    }
    if (k < n) {
        const __mmask16 rest = __mmask16((1u << (n - k)) - 1);
        const __m512i value = requantised<PLAIN>(how, by, _mm512_maskz_loadu_epi32(rest, sums + k));
        _mm512_mask_cvtepi32_storeu_epi8(bytes + k, rest, value);
    }
}

template <bool PLAIN>
void requantise_rows(const Requantise &how, const std::int32_t *sums, int n_rows, int n, int n_pad, std::uint8_t *bytes,
                     int stride) {
    const Constants by(how);
    if (n == n_pad && n == stride)
        return requantise_row<PLAIN>(how, by, sums, n_rows * n, bytes);
    for (int r = 0; r < n_rows; ++r, sums += n_pad, bytes += stride)
        requantise_row<PLAIN>(how, by, sums, n, bytes);
}

void requantise(const Requantise &how, const std::int32_t *sums, int n_rows, int n, int n_pad, std::uint8_t *bytes,
                int stride) {
    if (how.plain())
        requantise_rows<true>(how, sums, n_rows, n, n_pad, bytes, stride);
    else
        requantise_rows<false>(how, sums, n_rows, n, n_pad, bytes, stride);
}

void add_column(const std::uint8_t *column, std::int32_t factor, int n, std::int32_t *sums) {
    const __m512i factors = _mm512_set1_epi32(factor);
    int k = 0;
    for (; k + LANES <= n; k += LANES) {
        const __m512i x = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(column + k)));
        store(sums + k, _mm512_add_epi32(load(sums + k), _mm512_mullo_epi32(x, factors)));
    }
    add_column_portable(column + k, factor, n - k, sums + k);
}

std::int32_t *differing(const std::uint8_t *a, const std::uint8_t *b, int n, std::int32_t first, std::int32_t *places) {
    for (int k = 0; k < n; k += 64) {
        const __mmask64 inside = n - k >= 64 ? ~__mmask64(0) : (__mmask64(1) << (n - k)) - 1;
        std::uint64_t found = _mm512_mask_cmpneq_epu8_mask(inside, _mm512_maskz_loadu_epi8(inside, a + k),
                                                           _mm512_maskz_loadu_epi8(inside, b + k));
        for (; found; found &= found - 1)
            *places++ = first + k + __builtin_ctzll(found);
    }
    return places;
}

int keep_changed(std::uint8_t *rows, int n_rows, int stride, const std::uint8_t *golden, const std::int32_t *samples,
                 std::int32_t *kept) {
    if (stride != 64)
        return keep_changed_portable(rows, n_rows, stride, golden, samples, kept);
    int n = 0;
    for (int r = 0; r < n_rows; ++r) {
        const __m512i row = load(rows + std::ptrdiff_t(r) * 64);
        store(rows + std::ptrdiff_t(n) * 64, row);
        kept[n] = samples[r];
        n += _mm512_cmpneq_epu8_mask(row, load(golden + std::ptrdiff_t(samples[r]) * 64)) != 0;
    }
    return n;
}

void tops(const std::int32_t *sums, const std::int32_t *samples, int n_rows, int n, int n_pad, int spare,
          bool is_signed, Answers &answers) {
    if (n > LANES)
        return tops_portable(sums, samples, n_rows, n, n_pad, spare, is_signed, answers);
    const __mmask16 inside = __mmask16((1u << n) - 1);
    const __m512i least = _mm512_set1_epi32(INT32_MIN);
    for (int r = 0; r < n_rows; ++r, sums += n_pad) {
        const __m512i values = _mm512_mask_mov_epi32(least, inside, into_range(load(sums), spare, is_signed));
        const __m512i largest = _mm512_set1_epi32(_mm512_reduce_max_epi32(values));
        const int top = __builtin_ctz(_mm512_mask_cmpeq_epi32_mask(inside, values, largest));
        const std::int32_t golden = answers.golden[samples[r]];
        if (top == golden)
            continue;
        const __m512i of = _mm512_permutexvar_epi32(_mm512_set1_epi32(golden), values);
        const unsigned before = _mm512_mask_cmpeq_epi32_mask(__mmask16((1u << golden) - 1), values, of);
        const int rank = __builtin_popcount(_mm512_mask_cmpgt_epi32_mask(inside, values, of) | before);
        answers.changed[answers.n++] = {samples[r], top, rank};
    }
}

void gather(const Run *runs, std::size_t n, const std::uint8_t *image, const std::uint8_t *padding,
            std::uint8_t *operands) {
    for (std::size_t k = 0; k < n; ++k) {
        const std::uint8_t *from = runs[k].from < 0 ? padding : image + runs[k].from;
        std::uint8_t *to = operands + runs[k].to;
        if (runs[k].size > 32)
            store(to, load(from));
        else if (runs[k].size > 8)
            _mm256_storeu_si256(reinterpret_cast<__m256i *>(to),
                                _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
        else
            std::memcpy(to, from, 8);
    }
}

void max_pool(const std::uint8_t *image, const std::int32_t *places, int pixels, int n_places, int channels,
              std::uint8_t *pooled) {
    if (channels > 64)
        return max_pool_portable(image, places, pixels, n_places, channels, pooled);
    const __mmask64 inside = channels == 64 ? ~__mmask64(0) : (__mmask64(1) << channels) - 1;
    for (int pixel = 0; pixel < pixels; ++pixel, places += n_places, pooled += channels) {
        __m512i largest = _mm512_setzero_si512();
        for (int place = 0; place < n_places; ++place) {
            if (places[place] < 0)
                continue;
            const std::uint8_t *values = image + std::ptrdiff_t(places[place]) * channels;
            largest = _mm512_max_epu8(largest, _mm512_maskz_loadu_epi8(inside, values));
        }
        _mm512_mask_storeu_epi8(pooled, inside, largest);
    }
}

std::int32_t dot(const std::uint8_t *values, const std::int8_t *weights, int n) {
    __m512i sum = _mm512_setzero_si512();
    for (int k = 0; k < n; k += 64) {
        const __mmask64 inside = n - k >= 64 ? ~__mmask64(0) : (__mmask64(1) << (n - k)) - 1;
        sum = _mm512_dpbusd_epi32(sum, _mm512_maskz_loadu_epi8(inside, values + k),
                                  _mm512_maskz_loadu_epi8(inside, weights + k));
    }
    return _mm512_reduce_add_epi32(sum);
}

// ---------------------------------------------------------------- whole steps

// All of a block's neurons, which are C vectors.
template <int R, int C>
inline void full_sums(const DenseStep &step, const std::uint8_t *const *rows, __m512i raise, __m512i (&found)[R][C]) {
    full_sums<R, C>(rows, step.packed, step.k4, C * LANES, step.start, raise, found);
}

// Where every row has but few changed operands (in_stride 64): fault-free sums and what the changes add.
template <int R, int C>
inline bool updated_sums(const DenseStep &step, const std::uint8_t *const *rows, const std::int32_t *samples,
                         __m512i raise, __m512i (&found)[R][C]) {
    std::uint64_t places[R];
    int most = 0;
    UNROLLED
    for (int r = 0; r < R; ++r) {
        places[r] = _mm512_cmpneq_epu8_mask(load(rows[r]), load(step.golden_in + std::ptrdiff_t(samples[r]) * 64));
        const int changed = __builtin_popcountll(places[r]);
        most = changed > most ? changed : most;
    }
    if (most > step.most)
        return false;
    UNROLLED
    for (int r = 0; r < R; ++r) {
        const std::int32_t *kept = step.golden_sums + std::ptrdiff_t(samples[r]) * C * LANES;
        const std::uint8_t *golden = step.golden_in + std::ptrdiff_t(samples[r]) * 64;
        UNROLLED
        for (int c = 0; c < C; ++c)
            found[r][c] = _mm512_add_epi32(load(kept + c * LANES), raise);
        for (; places[r]; places[r] &= places[r] - 1) {
            const int at = __builtin_ctzll(places[r]);
            const __m512i delta = _mm512_set1_epi32(rows[r][at] - golden[at]);
            const std::int8_t *w = step.by_input + std::ptrdiff_t(at) * C * LANES;
            UNROLLED
            for (int c = 0; c < C; ++c) {
                const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(w + c * LANES));
                found[r][c] = _mm512_add_epi32(found[r][c], _mm512_mullo_epi32(delta, _mm512_cvtepi8_epi32(bytes)));
            }
        }
    }
    return true;
}

// The bytes of one row of sums, zeros behind the last neuron. Packing saturates at 0 and 65535, then at 255, and works
// within parts of 128 bits, whose order is mended at the end.
template <int C> inline __m512i row_bytes(const DenseStep &step, const Constants &by, const __m512i (&sums)[C]) {
    if (C == 1) {
        const __m512i value =
            _mm512_max_epi32(_mm512_min_epi32(rounded_raised(by, sums[0]), by.high), _mm512_setzero_si512());
        return _mm512_zextsi128_si512(_mm512_cvtepi32_epi8(value));
    }
    const __m512i high = _mm512_set1_epi16(short(step.requantise.high));
    const __m512i low_half =
        _mm512_min_epu16(_mm512_packus_epi32(rounded_raised(by, sums[0]), rounded_raised(by, sums[C > 1])), high);
    if (C == 2) {
        const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
        return _mm512_zextsi256_si512(_mm512_cvtepi16_epi8(_mm512_permutexvar_epi64(order, low_half)));
    }
    const __m512i other =
        _mm512_packus_epi32(rounded_raised(by, sums[C > 2 ? 2 : 0]), rounded_raised(by, sums[C > 2 ? 3 : 0]));
    const __m512i bytes = _mm512_packus_epi16(low_half, _mm512_min_epu16(other, high));
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), bytes);
}

// Of two vectors a row the bytes of a pair of rows are made together. Nothing is stored behind them: zeros stand there.
template <int R>
inline int leave_pairs(const DenseStep &step, const Constants &by, const __m512i (&sums)[R][2],
                       const std::int32_t *samples, std::uint8_t *out, std::int32_t *kept) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i high = _mm512_set1_epi8(char(step.requantise.high));
    int n = 0;
    UNROLLED
    for (int r = 0; r < R; r += 2) {
        const __m512i one = _mm512_packus_epi32(rounded_raised(by, sums[r][0]), rounded_raised(by, sums[r][1]));
        const __m512i two = _mm512_packus_epi32(rounded_raised(by, sums[r + 1][0]), rounded_raised(by, sums[r + 1][1]));
        const __m512i bytes = _mm512_permutexvar_epi32(order, _mm512_min_epu8(_mm512_packus_epi16(one, two), high));
        const auto golden = [&](int row) {
            const std::uint8_t *at = step.golden_out + std::ptrdiff_t(samples[row]) * 64;
            return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(at));
        };
        const __m512i before = _mm512_inserti64x4(_mm512_castsi256_si512(golden(r)), golden(r + 1), 1);
        const std::uint64_t differs = _mm512_cmpneq_epu8_mask(bytes, before);
        const auto keep = [&](int row, __m256i half, std::uint32_t changed) {
            _mm256_storeu_si256(reinterpret_cast<__m256i *>(out + std::ptrdiff_t(n) * 64), half);
            kept[n] = samples[row];
            n += changed != 0;
        };
        keep(r, _mm512_castsi512_si256(bytes), std::uint32_t(differs));
        keep(r + 1, _mm512_extracti64x4_epi64(bytes, 1), std::uint32_t(differs >> 32));
    }
    return n;
}

template <int R, int C>
inline int leave(const DenseStep &step, const Constants &by, __mmask64 inside, const __m512i (&sums)[R][C],
                 const std::int32_t *samples, std::uint8_t *out, std::int32_t *kept) {
    if constexpr (C == 2 && R % 2 == 0)
        return leave_pairs<R>(step, by, sums, samples, out, kept);
    int n = 0;
    UNROLLED
    for (int r = 0; r < R; ++r) {
        const __m512i row = _mm512_maskz_mov_epi8(inside, row_bytes<C>(step, by, sums[r]));
        store(out + std::ptrdiff_t(n) * 64, row);
        kept[n] = samples[r];
        n += _mm512_cmpneq_epu8_mask(row, load(step.golden_out + std::ptrdiff_t(samples[r]) * 64)) != 0;
    }
    return n;
}

// `updates` is cleared where updating is not possible: then it seldom is for the rows that follow.
template <int R, int C>
inline int forward_some(const DenseStep &step, const Constants &by, __mmask64 inside, const std::uint8_t *const *rows,
                        const std::int32_t *samples, bool &updates, std::uint8_t *out, std::int32_t *kept) {
    __m512i sums[R][C];
    if (updates && (updates = updated_sums<R, C>(step, rows, samples, by.raise, sums)))
        return leave<R, C>(step, by, inside, sums, samples, out, kept);
    full_sums<R, C>(step, rows, by.raise, sums);
    return leave<R, C>(step, by, inside, sums, samples, out, kept);
}

inline __mmask64 first_bytes(int n) { return n >= 64 ? ~__mmask64(0) : (__mmask64(1) << n) - 1; }

template <int R, int C>
int forward_tiles(const DenseStep &step, const std::uint8_t *const *rows, const std::int32_t *samples, int n,
                  std::uint8_t *out, std::int32_t *kept) {
    const Constants by(step.requantise);
    const __mmask64 inside = first_bytes(step.neurons);
    int r = 0, found = 0;
    bool updates = step.most >= 0 && step.in_stride == 64;
    for (; r + R <= n; r += R)
        found += forward_some<R, C>(step, by, inside, rows + r, samples + r, updates, out + std::ptrdiff_t(found) * 64,
                                    kept + found);
    for (; r < n; ++r)
        found += forward_some<1, C>(step, by, inside, rows + r, samples + r, updates, out + std::ptrdiff_t(found) * 64,
                                    kept + found);
    return found;
}

struct Vectors {
    static constexpr auto update = codesign::engine::update;
    static constexpr auto multiply = codesign::engine::multiply;
    static constexpr auto requantise = codesign::engine::requantise;
    static constexpr auto keep_changed = codesign::engine::keep_changed;
    static constexpr auto tops = codesign::engine::tops;
};

bool in_registers(const DenseStep &step) { return step.out_stride == 64 && step.requantise.plain(); }

int forward(const DenseStep &step, const std::uint8_t *const *rows, const std::int32_t *samples, int n,
            std::uint8_t *out, std::int32_t *kept) {
    if (in_registers(step)) {
        if (step.n_pad == 16)
            return forward_tiles<8, 1>(step, rows, samples, n, out, kept);
        if (step.n_pad == 32)
            return forward_tiles<8, 2>(step, rows, samples, n, out, kept);
        if (step.n_pad == 64)
            return forward_tiles<6, 4>(step, rows, samples, n, out, kept);
    }
    return forward_parts<Vectors>(step, rows, samples, n, out, kept);
}

template <int C>
int forward_column_in_registers(const DenseStep &step, int column, const std::int16_t *deltas,
                                const std::int32_t *samples, int n, std::uint8_t *out, std::int32_t *kept) {
    const Constants by(step.requantise);
    const __mmask64 inside = first_bytes(step.neurons);
    __m512i w[C];
    UNROLLED
    for (int c = 0; c < C; ++c) {
        const std::int8_t *at = step.by_input + std::ptrdiff_t(column) * C * LANES + c * LANES;
        w[c] = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(at)));
    }
    int found = 0;
    for (int r = 0; r < n; ++r) {
        const std::int32_t *kept_sums = step.golden_sums + std::ptrdiff_t(samples[r]) * C * LANES;
        __m512i sums[1][C];
        UNROLLED
        for (int c = 0; c < C; ++c)
            sums[0][c] = _mm512_add_epi32(_mm512_add_epi32(load(kept_sums + c * LANES), by.raise),
                                          _mm512_mullo_epi32(_mm512_set1_epi32(deltas[r]), w[c]));
        found += leave<1, C>(step, by, inside, sums, samples + r, out + std::ptrdiff_t(found) * 64, kept + found);
    }
    return found;
}

int forward_column(const DenseStep &step, int column, const std::int16_t *deltas, const std::int32_t *samples, int n,
                   std::uint8_t *out, std::int32_t *kept) {
    if (in_registers(step)) {
        if (step.n_pad == 16)
            return forward_column_in_registers<1>(step, column, deltas, samples, n, out, kept);
        if (step.n_pad == 32)
            return forward_column_in_registers<2>(step, column, deltas, samples, n, out, kept);
        if (step.n_pad == 64)
            return forward_column_in_registers<4>(step, column, deltas, samples, n, out, kept);
    }
    return forward_column_parts<Vectors>(step, column, deltas, samples, n, out, kept);
}

// The fault-free rows from `at` on, with the bytes of some neurons anew.
template <int R, int C>
inline int forward_some_rows(const DenseStep &step, const SomeNeurons &some, const Constants &by, int at,
                             std::uint8_t *out, std::int32_t *kept) {
    const std::uint8_t *rows[R];
    UNROLLED
    for (int r = 0; r < R; ++r)
        rows[r] = step.golden_in + std::ptrdiff_t(at + r) * step.in_stride;
    __m512i sums[R][C];
    full_sums<R, C>(step, rows, by.raise, sums);
    const __m512i high = _mm512_set1_epi16(short(step.requantise.high));
    const __m512i first_words = load(some.words[0]), last_words = load(some.words[1]);
    int n = 0;
    UNROLLED
    for (int r = 0; r < R; ++r) {
        const __m512i words = _mm512_min_epu16(
            _mm512_packus_epi32(rounded_raised(by, sums[r][0]), rounded_raised(by, sums[r][C - 1])), high);
        const __m512i bytes = _mm512_packus_epi16(_mm512_permutexvar_epi16(first_words, words),
                                                  _mm512_permutexvar_epi16(last_words, words));
        const __m512i golden = load(step.golden_out + std::ptrdiff_t(at + r) * 64);
        store(out + std::ptrdiff_t(n) * 64, _mm512_mask_mov_epi8(golden, some.mask, bytes));
        kept[n] = at + r;
        n += _mm512_mask_cmpneq_epu8_mask(some.mask, golden, bytes) != 0;
    }
    return n;
}

template <int C>
int forward_some_tiles(const DenseStep &step, const SomeNeurons &some, int first, int n, std::uint8_t *out,
                       std::int32_t *kept) {
    constexpr int R = 8;
    const Constants by(step.requantise);
    int r = 0, found = 0;
    for (; r + R <= n; r += R)
        found += forward_some_rows<R, C>(step, some, by, first + r, out + std::ptrdiff_t(found) * 64, kept + found);
    for (; r < n; ++r)
        found += forward_some_rows<1, C>(step, some, by, first + r, out + std::ptrdiff_t(found) * 64, kept + found);
    return found;
}

int forward_some(const DenseStep &step, const SomeNeurons &some, int first, int n, std::uint8_t *out,
                 std::int32_t *kept) {
    DenseStep of_some = step;
    of_some.packed = some.packed;
    of_some.start = some.start;
    return some.vectors == 1 ? forward_some_tiles<1>(of_some, some, first, n, out, kept)
                             : forward_some_tiles<2>(of_some, some, first, n, out, kept);
}

inline __m512i larger(__m512i a, __m512i b) {
    return _mm512_max_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}
inline __m512i larger2(__m512i a, __m512i b) {
    return _mm512_max_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

// A value's place stands in the bits below it, so that the first of equal ones is the largest.
constexpr int PLACE_BITS = 4;

// Largest of each of 16 vectors, in order.
inline __m512i largest_of(const __m512i (&v)[LANES]) {
    __m512i four[4];
    for (int k = 0; k < 4; ++k)
        four[k] = larger2(larger(v[4 * k], v[4 * k + 1]), larger(v[4 * k + 2], v[4 * k + 3]));
    // Lane q of four[k] holds in 128-bit part p the maxima of part p of vectors 4k + (0, 1, 2, 3).
    const __m512i a =
        _mm512_max_epi32(_mm512_shuffle_i32x4(four[0], four[1], 0x44), _mm512_shuffle_i32x4(four[0], four[1], 0xEE));
    const __m512i b =
        _mm512_max_epi32(_mm512_shuffle_i32x4(four[2], four[3], 0x44), _mm512_shuffle_i32x4(four[2], four[3], 0xEE));
    return _mm512_max_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xDD));
}

void forward_tops(const DenseStep &step, const std::uint8_t *const *rows, const std::int32_t *samples, int n,
                  Answers &answers) {
    if (step.n_pad != LANES || step.spare < PLACE_BITS || !step.is_signed)
        return forward_tops_parts<Vectors>(step, rows, samples, n, answers);
    const __mmask16 inside = __mmask16((1u << step.neurons) - 1);
    const __m512i places = _mm512_sub_epi32(_mm512_set1_epi32(LANES - 1),
                                            _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    const __m512i least = _mm512_set1_epi32(INT32_MIN);
    const __m128i up = _mm_cvtsi32_si128(step.spare), down = _mm_cvtsi32_si128(step.spare - PLACE_BITS);
    bool updates = step.most >= 0 && step.in_stride == 64;
    for (int r = 0; r < n; r += LANES) {
        const int some = n - r < LANES ? n - r : LANES;
        const std::uint8_t *here[LANES];
        std::int32_t of[LANES];
        for (int k = 0; k < LANES; ++k) {
            here[k] = rows[r + (k < some ? k : 0)];
            of[k] = samples[r + (k < some ? k : 0)];
        }
        __m512i keys[LANES];
        for (int half = 0; half < LANES; half += 8) {
            __m512i sums[8][1];
            updates = updates && updated_sums<8, 1>(step, here + half, of + half, _mm512_setzero_si512(), sums);
            if (!updates)
                full_sums<8, 1>(step, here + half, _mm512_setzero_si512(), sums);
            for (int k = 0; k < 8; ++k) {
                // In range, times 16, and the place below.
                const __m512i value = _mm512_sra_epi32(_mm512_sll_epi32(sums[k][0], up), down);
                keys[half + k] = _mm512_mask_or_epi32(least, inside, value, places);
            }
        }
        const __m512i top = _mm512_sub_epi32(_mm512_set1_epi32(LANES - 1),
                                             _mm512_and_si512(largest_of(keys), _mm512_set1_epi32(LANES - 1)));
        const __mmask16 used = __mmask16((1u << some) - 1);
        const __m512i golden = _mm512_i32gather_epi32(_mm512_loadu_si512(of), answers.golden, 4);
        std::int32_t tops[LANES];
        _mm512_storeu_si512(tops, top);
        for (unsigned left = _mm512_mask_cmpneq_epi32_mask(used, top, golden); left; left &= left - 1) {
            const int k = __builtin_ctz(left);
            const __m512i key = _mm512_permutexvar_epi32(_mm512_set1_epi32(answers.golden[of[k]]), keys[k]);
            const int rank = __builtin_popcount(_mm512_cmpgt_epi32_mask(keys[k], key));
            answers.changed[answers.n++] = {of[k], tops[k], rank};
        }
    }
}

int column(const ColumnStep &step, int n, std::int32_t first, std::int32_t *samples, std::int16_t *deltas) {
    if (!step.requantise.plain())
        return column_portable(step, n, first, samples, deltas);
    const Constants by(step.requantise);
    const __m512i factor = _mm512_set1_epi32(step.factor), start = _mm512_set1_epi32(step.start);
    __m512i number = _mm512_add_epi32(_mm512_set1_epi32(first),
                                      _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    int found = 0;
    for (int k = 0; k < n; k += LANES, number = _mm512_add_epi32(number, _mm512_set1_epi32(LANES))) {
        const __mmask16 inside = n - k >= LANES ? __mmask16(0xFFFF) : __mmask16((1u << (n - k)) - 1);
        const __m512i x = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(step.entering + k)));
        const __m512i sum =
            _mm512_add_epi32(_mm512_add_epi32(load(step.sums + k), start), _mm512_mullo_epi32(x, factor));
        const __m128i value = _mm512_cvtepi32_epi8(requantised<true>(step.requantise, by, sum));
        const __m128i golden = _mm_loadu_si128(reinterpret_cast<const __m128i *>(step.leaving + k));
        const __mmask16 differs = _mm_mask_cmpneq_epu8_mask(inside, value, golden);
        // Whole vectors are stored: the arrays have room for one more than is found.
        store(samples + found, _mm512_maskz_compress_epi32(differs, number));
        const __m512i delta = _mm512_sub_epi32(_mm512_cvtepu8_epi32(value), _mm512_cvtepu8_epi32(golden));
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(deltas + found),
                            _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(differs, delta)));
        found += __builtin_popcount(differs);
    }
    return found;
}

inline __m512i added_lanes(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}
inline __m512i added_pairs(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

// The sum of each of 16 vectors, in order: as largest_of.
inline __m512i sum_of(const __m512i (&v)[LANES]) {
    __m512i four[4];
    UNROLLED
    for (int k = 0; k < 4; ++k)
        four[k] = added_pairs(added_lanes(v[4 * k], v[4 * k + 1]), added_lanes(v[4 * k + 2], v[4 * k + 3]));
    const __m512i a =
        _mm512_add_epi32(_mm512_shuffle_i32x4(four[0], four[1], 0x44), _mm512_shuffle_i32x4(four[0], four[1], 0xEE));
    const __m512i b =
        _mm512_add_epi32(_mm512_shuffle_i32x4(four[2], four[3], 0x44), _mm512_shuffle_i32x4(four[2], four[3], 0xEE));
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xDD));
}

// Products that a span adds, where a row has at most 64 of them.
inline __m512i span_products(const AdderStep &step, const StruckAdder &adder) {
    const std::uint8_t *x = step.operands[step.slots[adder.row - step.first_row]];
    const __m512i values = _mm512_maskz_loadu_epi8(step.span_masks[adder.place], x);
    __m512i sum = _mm512_setzero_si512();
    add_products(sum, values, load(step.by_neuron + std::ptrdiff_t(adder.neuron) * 64));
    return sum;
}

// Up to four struck adders of one sum, without branches: how many they are, their order, and which of them see which
// others are all hard to foresee. Those that are missing stand behind the last and change nothing.
inline std::int32_t few_deltas(const AdderStep &step, const StruckAdder *struck, const std::int32_t *values, int n) {
    constexpr int MOST = 4;
    std::int32_t keys[MOST]; // the span's size, and which
    for (int k = 0; k < MOST; ++k) {
        const std::int32_t place = struck[k < n ? k : 0].place;
        const std::int32_t size = step.spans[2 * place + 1] - step.spans[2 * place];
        keys[k] = k < n ? size * MOST + k : INT32_MAX - MOST + 1 + k;
    }
    const auto ordered = [&](int a, int b) {
        const std::int32_t low = keys[a] < keys[b] ? keys[a] : keys[b];
        keys[b] = keys[a] < keys[b] ? keys[b] : keys[a];
        keys[a] = low;
    };
    ordered(0, 1);
    ordered(2, 3);
    ordered(0, 2);
    ordered(1, 3);
    ordered(1, 2);
    std::int32_t first[MOST], end[MOST], deltas[MOST], total = 0;
    UNROLLED
    for (int k = 0; k < MOST; ++k) {
        const int which = keys[k] % MOST;
        const StruckAdder &adder = struck[k < n ? which : 0];
        first[k] = step.spans[2 * adder.place];
        end[k] = step.spans[2 * adder.place + 1];
        std::int32_t value = values[k < n ? which : 0];
        UNROLLED
        for (int inner = 0; inner < k; ++inner)
            value = added32(value, deltas[inner] & -std::int32_t((first[inner] >= first[k]) & (end[inner] <= end[k])));
        deltas[k] = flip_delta(value, adder.bit) & -std::int32_t(k < n);
        total = added32(total, deltas[k]);
    }
    return total;
}

// Two of them, which are the most frequent.
inline std::int32_t two_deltas(const AdderStep &step, const StruckAdder *two, const std::int32_t *values) {
    const std::int32_t *spans = step.spans;
    const std::int32_t first[2] = {spans[2 * two[0].place], spans[2 * two[1].place]};
    const std::int32_t end[2] = {spans[2 * two[0].place + 1], spans[2 * two[1].place + 1]};
    const int outer = end[1] - first[1] >= end[0] - first[0], inner = 1 - outer;
    const bool seen = (first[inner] >= first[outer]) & (end[inner] <= end[outer]);
    const std::int32_t delta = flip_delta(values[inner], two[inner].bit);
    return added32(delta, flip_delta(added32(values[outer], seen ? delta : 0), two[outer].bit));
}

// Adds to each sum what its struck adders do, given their fault-free values. How many adders of a sum are struck cannot
// be foreseen by the processor, so sums are first sorted by that.
void settle_groups(const AdderStep &step, const StruckAdder *struck, std::size_t n) {
    const std::int32_t *values = step.values;
    std::int32_t *starts = step.values + n + LANES; // of each group of faults of one sum
    std::size_t n_groups = 0;
    for (std::size_t k = 0; k < n; ++k) {
        starts[n_groups] = std::int32_t(k);
        n_groups +=
            (k == 0) | (struck[k].row != struck[k - (k > 0)].row) | (struck[k].neuron != struck[k - (k > 0)].neuron);
    }
    starts[n_groups] = std::int32_t(n);
    constexpr int KINDS = 4, LARGEST = 5;
    constexpr std::uint8_t KIND_OF[LARGEST + 1] = {0, 0, 1, 2, 2, 3};
    std::int32_t *groups[KINDS];
    std::size_t counts[KINDS] = {};
    for (int kind = 0; kind < KINDS; ++kind)
        groups[kind] = starts + (n + LANES) * std::size_t(kind + 1);
    for (std::size_t g = 0; g < n_groups; ++g) {
        const std::int32_t size = starts[g + 1] - starts[g];
        const int kind = KIND_OF[size < LARGEST ? size : LARGEST];
        groups[kind][counts[kind]++] = std::int32_t(g);
    }
    const auto settle = [&](int kind, auto delta_of) {
        for (std::size_t i = 0; i < counts[kind]; ++i) {
            const std::int32_t g = groups[kind][i], k = starts[g];
            const std::int32_t slot = step.slots[struck[k].row - step.first_row];
            std::int32_t &sum = step.sums[std::ptrdiff_t(slot) * step.n_pad + struck[k].neuron];
            const std::int32_t delta = delta_of(struck + k, values + k, starts[g + 1] - k);
            sum = held(added32(sum, delta), step.spare, step.is_signed);
        }
    };
    using Faults = const StruckAdder *;
    using Values = const std::int32_t *;
    settle(0, [&](Faults of, Values at, int) { return flip_delta(at[0], of[0].bit); });
    settle(1, [&](Faults of, Values at, int) { return two_deltas(step, of, at); });
    settle(2, [&](Faults of, Values at, int size) { return few_deltas(step, of, at, size); });
    settle(3, [&](Faults of, Values at, int size) { return several_deltas(step, of, std::size_t(size), at); });
}

void adders(const AdderStep &step, const StruckAdder *struck, std::size_t n) {
    if (!step.span_masks)
        return adders_by<dot>(step, struck, n);
    std::int32_t *values = step.values;
    for (std::size_t k = 0; k < n; k += LANES) {
        __m512i sums[LANES];
        UNROLLED
        for (std::size_t i = 0; i < LANES; ++i)
            sums[i] = span_products(step, struck[k + i < n ? k + i : n - 1]);
        store(values + k, sum_of(sums));
    }
    for (std::size_t k = 0; k < n; ++k) {
        const std::int32_t bias = std::int32_t(step.biases[struck[k].neuron]);
        values[k] = added32(values[k], bias & -std::int32_t(step.spans[2 * struck[k].place] == 0));
    }
    settle_groups(step, struck, n);
}

constexpr Kernels AVX512 = {multiply,       update,       requantise,   add_column, differing,       forward,
                            forward_column, forward_some, forward_tops, column,     keep_changed,    tops,
                            gather,         max_pool,     dot,          adders,     decode_portable, gaps_portable};

} // namespace

const Kernels *kernels_avx512() { return &AVX512; }

} // namespace codesign::engine

#else

namespace codesign::engine {
const Kernels *kernels_avx512() { return nullptr; }
} // namespace codesign::engine

#endif
