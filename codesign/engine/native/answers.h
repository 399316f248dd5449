// Which samples get another answer than without faults.
#ifndef CODESIGN_ENGINE_ANSWERS_H_
#define CODESIGN_ENGINE_ANSWERS_H_

#include <cstdint>

namespace codesign::engine {

// A sample's largest logit, the first of equal ones, is another than without faults: `top`. So many come before the one
// that is the largest without faults: larger ones, and equal ones of a smaller number.
struct Answer {
    std::int32_t sample, top, rank;
};

// Kernels append to the changed answers; there is room for all samples. `golden` are the fault-free answers of all.
struct Answers {
    const std::int32_t *golden;
    Answer *changed;
    int n;
};

// Appends a sample's answer if it has changed. `at` gives a logit of n.
template <class At> void append_answer(Answers &answers, std::int32_t sample, std::int32_t top, int n, At at) {
    const std::int32_t golden = answers.golden[sample];
    if (top == golden)
        return;
    const auto value = at(golden);
    std::int32_t rank = 0;
    for (int k = 0; k < n; ++k)
        rank += at(k) > value || (at(k) == value && k < golden);
    answers.changed[answers.n++] = {sample, top, rank};
}

} // namespace codesign::engine

#endif
