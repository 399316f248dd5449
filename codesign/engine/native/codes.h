// Codes of stored parameters: the twin of codesign/codes.py, one word at a time.
#ifndef CODESIGN_ENGINE_CODES_H_
#define CODESIGN_ENGINE_CODES_H_

#include "flags.h"
#include "model.h"

namespace codesign::engine {

int stored_copies(Code code);

// Bits of a stored word that holds `width` bits of data.
int stored_width(int width, Code code);

// A parameter as it is read, and the flags that reading it raises.
struct ReadWord {
    Int value;
    std::uint8_t flags;
};

// What is read of a stored parameter where the bits of `masks` (one for each copy) are inverted.
ReadWord read_damaged(Int raw, const FixedPoint &of, Code code, const Word masks[REPLICAS]);

} // namespace codesign::engine

#endif
