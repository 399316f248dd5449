// What every function of the C interface needs.
#ifndef CODESIGN_ENGINE_EXPORTED_H_
#define CODESIGN_ENGINE_EXPORTED_H_

#include <cstdio>
#include <exception>
#include <new>

#include "interface.h"

#define EXPORTED __attribute__((visibility("default")))

namespace codesign::engine {

inline void tell(codesign_error error, const char *text) {
    if (error.size)
        std::snprintf(error.text, error.size, "%s", text);
}

// Calls `body`; no exception may cross the C interface.
template <class Body> int guarded(codesign_error error, Body body) {
    try {
        body();
        return 0;
    } catch (const std::bad_alloc &) {
        tell(error, "not enough memory");
    } catch (const std::exception &problem) {
        tell(error, problem.what());
    }
    return 1;
}

} // namespace codesign::engine

#endif
