// The natural logarithm of codesign/faults.py, the same in every bit: the same IEEE operations in the same order.
// Static: units compiled for different instruction sets must not share their code.
// Compile without contraction to fused operations (-ffp-contract=off) and without -ffast-math.
#ifndef CODESIGN_ENGINE_LOGARITHM_H_
#define CODESIGN_ENGINE_LOGARITHM_H_

#include <cstdint>
#include <cstring>

namespace codesign::engine {

// Of a positive normal number: x = m * 2**e with m near 1 and ln m = 2 artanh z, z = (m - 1) / (m + 1).
static inline double log_reproducible(double x) {
    std::uint64_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    // frexp: the mantissa in [0.5, 1) has the exponent field 1022.
    std::int64_t exponent = std::int64_t(bits >> 52) - 1022;
    bits = (bits & 0x000FFFFFFFFFFFFFu) | 0x3FE0000000000000u;
    double mantissa;
    std::memcpy(&mantissa, &bits, sizeof mantissa);
    const bool small = mantissa < 0.7071067811865476;
    mantissa = small ? mantissa * 2.0 : mantissa;
    exponent = small ? exponent - 1 : exponent;
    const double z = (mantissa - 1.0) / (mantissa + 1.0);
    const double square = z * z;
    double series = 0.0;
    series = series * square + 1.0 / 15;
    series = series * square + 1.0 / 13;
    series = series * square + 1.0 / 11;
    series = series * square + 1.0 / 9;
    series = series * square + 1.0 / 7;
    series = series * square + 1.0 / 5;
    series = series * square + 1.0 / 3;
    series = series * square + 1.0 / 1;
    return double(exponent) * 0.6931471805599453 + 2.0 * z * series;
}

// ln(1 - p), without cancellation at small p.
static inline double log_complement(double p) {
    if (p > 0.01)
        return log_reproducible(1.0 - p);
    double series = 0.0;
    for (int power = 10; power > 0; --power)
        series = series * p + 1.0 / power;
    return -series * p;
}

// The gap that a raw random number stands for: `scale` is 1 / ln(1 - p).
static inline std::int64_t geometric_gap(std::uint64_t raw, double scale, double bound) {
    const double uniform = (double(std::int64_t(raw >> 11)) + 0.5) * 0x1p-53;
    const double quotient = log_reproducible(uniform) * scale;
    // The quotient is not negative, so the conversion rounds down.
    return std::int64_t(quotient < bound ? quotient : bound) + 1;
}

} // namespace codesign::engine

#endif
