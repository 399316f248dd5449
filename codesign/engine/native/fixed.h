// Fixed-point numbers as raw 64-bit integers, with the semantics of ap_fixed; the twin of codesign/fixed.py.
#ifndef CODESIGN_ENGINE_FIXED_H_
#define CODESIGN_ENGINE_FIXED_H_

#include <cstdint>
#include <stdexcept>

namespace codesign::engine {

using Int = std::int64_t;
using Word = std::uint64_t; // for arithmetic modulo 2**64

enum class Rounding { RND, RND_ZERO, RND_MIN_INF, RND_INF, RND_CONV, TRN, TRN_ZERO };
enum class Overflow { WRAP, SAT, SAT_ZERO, SAT_SYM };

inline Int shifted_left(Int value, int bits) { return Int(Word(value) << bits); }
inline Int added(Int a, Int b) { return Int(Word(a) + Word(b)); }
inline Int multiplied(Int a, Int b) { return Int(Word(a) * Word(b)); }

// A type: `frac` fractional bits (negative where the last bit weighs more than one).
struct FixedPoint {
    int width = 1;
    int frac = 0;
    bool is_signed = true;
    Rounding rounding = Rounding::TRN;
    Overflow overflow = Overflow::WRAP;

    Int max_raw() const { return (Int(1) << (is_signed ? width - 1 : width)) - 1; }
    Int min_raw() const { return is_signed ? -(Int(1) << (width - 1)) : 0; }
    bool operator==(const FixedPoint &other) const {
        return width == other.width && frac == other.frac && is_signed == other.is_signed &&
               rounding == other.rounding && overflow == other.overflow;
    }
};

// The low `width` bits, read as the type does.
inline Int wrap(Int value, const FixedPoint &to) {
    const int spare = 64 - to.width;
    const Word top = Word(value) << spare;
    return to.is_signed ? Int(top) >> spare : Int(top >> spare);
}

// An integer at the type's own scale, brought into its range by its overflow mode.
inline Int fit(Int value, const FixedPoint &to) {
    if (to.overflow == Overflow::WRAP)
        return wrap(value, to);
    const Int high = to.max_raw();
    // A lone sign bit has no symmetric range: the headers saturate it as SAT does.
    const bool symmetric = to.overflow == Overflow::SAT_SYM && to.is_signed && to.width > 1;
    const Int low = symmetric ? -high : to.min_raw();
    if (value >= low && value <= high)
        return value;
    if (to.overflow == Overflow::SAT_ZERO)
        return 0;
    return value < low ? low : high;
}

// Division by 2**shift (shift > 0), rounded as the mode says.
inline Int round_shift(Int value, int shift, Rounding rounding) {
    const Int floor = value >> shift;
    const Int rest = value - shifted_left(floor, shift);
    const Int half = Int(1) << (shift - 1);
    bool up = false;
    switch (rounding) {
    case Rounding::TRN:
        break;
    case Rounding::TRN_ZERO:
        up = value < 0 && rest != 0;
        break;
    case Rounding::RND:
        up = rest >= half;
        break;
    case Rounding::RND_MIN_INF:
        up = rest > half;
        break;
    case Rounding::RND_ZERO:
        up = rest > half || (rest == half && value < 0);
        break;
    case Rounding::RND_INF:
        up = rest > half || (rest == half && value >= 0);
        break;
    case Rounding::RND_CONV:
        up = rest > half || (rest == half && (floor & 1));
        break;
    }
    return floor + Int(up);
}

// What assignment from one type to another does: from a type to itself C++ copies, so that a word that SAT_SYM never
// gives, but a fault may, stays what it is.
inline FixedPoint assigned(const FixedPoint &from, FixedPoint to) {
    if (from == to)
        to.overflow = Overflow::WRAP;
    return to;
}

// Assignment to a type: rounding, then overflow. Without a type to assign from it is of integers with `frac`
// fractional bits.
class Cast {
  public:
    Cast() = default;
    Cast(const FixedPoint &from, const FixedPoint &to) : Cast(from.frac, assigned(from, to)) {}
    Cast(int frac, const FixedPoint &to) : to_(to), shift_(frac - to.frac) {
        // The bounds of the NumPy model: beyond them int64 does not hold the shifted value.
        if (shift_ > 62 || shift_ < -MAX_WIDTH)
            throw std::range_error("a cast shifts further than 64-bit integers allow");
    }

    Int operator()(Int value) const {
        if (shift_ > 0)
            return fit(round_shift(value, shift_, to_.rounding), to_);
        if (shift_ == 0)
            return fit(value, to_);
        if (to_.overflow == Overflow::WRAP)
            return wrap(shifted_left(value, -shift_), to_);
        const Int bound = (Int(1) << (to_.width + 1)) >> -shift_;
        const Int held = value < -bound - 1 ? -bound - 1 : value > bound + 1 ? bound + 1 : value;
        return fit(shifted_left(held, -shift_), to_);
    }

    const FixedPoint &to() const { return to_; }
    int shift() const { return shift_; }

  private:
    static constexpr int MAX_WIDTH = 48;
    FixedPoint to_;
    int shift_ = 0;
};

} // namespace codesign::engine

#endif
