#include "kernels_conv.h"
#include "kernels_portable.h"

namespace codesign::engine {

namespace {

constexpr Kernels PLAIN = portable(multiply_portable);

#if defined(__x86_64__) || defined(_M_X64)
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"); }
bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
}
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
#endif

} // namespace

const Kernels &kernels_plain() { return PLAIN; }

const Kernels &kernels_up_to(int &level) {
    if (level >= 3 && has_avx512() && kernels_avx512())
        return *kernels_avx512();
    if (level > 2)
        level = 2;
    if (level >= 2 && has_avx2() && kernels_avx2())
        return *kernels_avx2();
    level = 1;
    return kernels_plain();
}

const ConvKernels *conv_kernels(int level) { return level >= 3 ? conv_kernels_avx512() : nullptr; }

} // namespace codesign::engine
