// What the test benches share: checks that print what they check, and random numbers.
#ifndef BENCH_H_
#define BENCH_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>

static int failures = 0;

inline void check(bool holds, const char *what) {
    std::printf("%s %s\n", holds ? "ok  " : "FAIL", what);
    failures += !holds;
}
inline int verdict() { return failures ? EXIT_FAILURE : EXIT_SUCCESS; }

// The same numbers on every machine.
inline uint32_t draw(uint32_t below) {
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return uint32_t(state >> 20) % below;
}

// A random number of `width` bits, its ends more often than others.
inline int64_t draw_signed(int width) {
    const int64_t half = int64_t(1) << (width - 1);
    switch (draw(8)) {
    case 0:
        return -half;
    case 1:
        return half - 1;
    default:
        return int64_t(draw(uint32_t(2 * half))) - half;
    }
}

#endif
