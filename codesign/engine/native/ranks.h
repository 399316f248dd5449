// Where a logit stands among the others of its sample.
#ifndef CODESIGN_ENGINE_RANKS_H_
#define CODESIGN_ENGINE_RANKS_H_

#include <cstdint>

namespace codesign::engine {

// How many of n values come before number `of`: larger ones, and equal ones of a smaller number. `at` gives a value.
template <class At> std::int32_t rank_of(int of, int n, At at) {
    const auto value = at(of);
    std::int32_t before = 0;
    for (int k = 0; k < n; ++k)
        before += at(k) > value || (at(k) == value && k < of);
    return before;
}

} // namespace codesign::engine

#endif
