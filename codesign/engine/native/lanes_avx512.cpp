// Compiled with AVX-512.
#include "lanes_portable.h"

namespace codesign::engine {

#ifdef __AVX512DQ__
template <> const LaneKernels<std::int32_t> *lanes_avx512() { return &LANES<std::int32_t>; }
template <> const LaneKernels<std::int64_t> *lanes_avx512() { return &LANES<std::int64_t>; }
#else
template <> const LaneKernels<std::int32_t> *lanes_avx512() { return nullptr; }
template <> const LaneKernels<std::int64_t> *lanes_avx512() { return nullptr; }
#endif

} // namespace codesign::engine
