#include "kernels.h"
#include "lanes_portable.h"

namespace codesign::engine {

namespace {

template <class T> const LaneKernels<T> &best_up_to(int level) {
    kernels_up_to(level); // asks the processor
    const LaneKernels<T> *found = level == 3 ? lanes_avx512<T>() : level == 2 ? lanes_avx2<T>() : nullptr;
    return found ? *found : LANES<T>;
}

} // namespace

template <> const LaneKernels<std::int32_t> &lanes_up_to(int level) { return best_up_to<std::int32_t>(level); }
template <> const LaneKernels<std::int64_t> &lanes_up_to(int level) { return best_up_to<std::int64_t>(level); }

} // namespace codesign::engine
