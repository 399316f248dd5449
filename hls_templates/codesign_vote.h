// A neuron's sum, cut in two: the low bits exist once, the hardened high bits in several guarded copies.
//
// Sum<A, H, COPIES> holds an A-bit two's complement number of which the H most significant bits exist COPIES
// times. The carry of the shared low part enters every copy at every addition, so each copy together with the
// low part is an ordinary A-bit accumulator. H = 0 is a plain accumulator, H = A classic redundancy. In the end
// three copies are put to the vote, bit by bit; two copies are compared, and where they differ the sum is zero.
#ifndef CODESIGN_VOTE_H_
#define CODESIGN_VOTE_H_

#include "codesign_taps.h"

namespace codesign {

// One bit a copy, unknown to the tools and zero in operation: an operand that is xor-ed with it differs
// between the copies, so that no optimiser can merge them. Raised on purpose it corrupts one copy.
typedef ap_uint<3> Guard;  // the port
typedef UInt<3> GuardBits; // inside

// What a protected layer tells of a sample: an upset was outvoted or corrected; one was found that could not be.
struct Flags {
    bool corrected, detected; // an aggregate: in a dataflow top only the layer itself may write its flags
};

// The operand as copy `replica` reads it. Any number of ap_int, ap_fixed and their unsigned kin.
template <class T> T guarded(T operand, GuardBits guard, unsigned replica) {
    #pragma HLS INLINE
    operand[0] = bool(operand[0]) ^ bool(guard[replica]);
    return operand;
}

// The value that the copies stand for.
template <class T> T resolve(const T (&copies)[3], Flags &flags) {
    #pragma HLS INLINE
    flags.corrected |= (copies[0] != copies[1]) || (copies[0] != copies[2]);
    return (copies[0] & copies[1]) | (copies[0] & copies[2]) | (copies[1] & copies[2]);
}
template <class T> T resolve(const T (&copies)[2], Flags &flags) {
    #pragma HLS INLINE
    const bool differ = copies[0] != copies[1];
    flags.detected |= differ;
    return differ ? T(0) : copies[0];
}

template <class T> T resolve(const T (&copies)[1], Flags &) {
    #pragma HLS INLINE
    return copies[0];
}

// How two words are added: modulo 2^A.
struct Wrapping {
    template <int A> static Int<A> add(const Int<A> &a, const Int<A> &b) {
        #pragma HLS INLINE
        return a + b;
    }
};

// Partly hardened: 0 < H < A. Only modular addition can be cut.
template <int A, int H, int COPIES, class Adder = Wrapping> struct Sum {
    static const int CUT = A - H;
    UInt<CUT> low;
    Int<H> high[COPIES];

    Sum() {
        #pragma HLS INLINE
        #pragma HLS ARRAY_PARTITION variable = high complete
    }

    // An operand that all copies share.
    static Sum load(const Int<A> &value, GuardBits guard) {
        #pragma HLS INLINE
        Sum sum;
        sum.low = value;
        const Int<H> high = value >> CUT;
        for (int r = 0; r < COPIES; r++) {
            #pragma HLS UNROLL
            sum.high[r] = guarded(high, guard, r);
        }
        return sum;
    }

    // An operand of which every copy has its own; the low part is copy 0's.
    static Sum load(const Int<A> (&values)[COPIES], GuardBits guard) {
        #pragma HLS INLINE
        Sum sum;
        sum.low = values[0];
        for (int r = 0; r < COPIES; r++) {
            #pragma HLS UNROLL
            sum.high[r] = guarded(Int<H>(values[r] >> CUT), guard, r);
        }
        return sum;
    }

    static Sum add(const Sum &a, const Sum &b) {
        #pragma HLS INLINE
        Sum sum;
        const UInt<CUT + 1> low = UInt<CUT + 1>(a.low) + UInt<CUT + 1>(b.low);
        sum.low = low;
        const UInt<1> carry = low >> CUT;
        for (int r = 0; r < COPIES; r++) {
            #pragma HLS UNROLL
            sum.high[r] = a.high[r] + b.high[r] + carry;
        }
        return sum;
    }

    Int<A> result(Flags &flags) const {
        #pragma HLS INLINE
        Flags own = Flags();
        const Int<A> top = resolve(high, own);
        flags.corrected |= own.corrected;
        flags.detected |= own.detected;
        return own.detected ? Int<A>(0) : Int<A>((top << CUT) | Int<A>(low));
    }

    // Invert a bit, counted from the accumulator's least significant one; says how many bits it found.
    int flip(int replica, int bit) {
        if (replica >= (bit < CUT ? 1 : COPIES))
            return 0;
        if (bit < CUT)
            low[bit] = !low[bit];
        else
            high[replica][bit - CUT] = !high[replica][bit - CUT];
        return 1;
    }
};

// Whole words: classic redundancy, or with one copy the plain accumulator.
template <int A, int COPIES, class Adder> struct Sum<A, A, COPIES, Adder> {
    Int<A> copies[COPIES];

    Sum() {
        #pragma HLS INLINE
        #pragma HLS ARRAY_PARTITION variable = copies complete
    }

    static Sum load(const Int<A> &value, GuardBits guard) {
        #pragma HLS INLINE
        Sum sum;
        for (int r = 0; r < COPIES; r++) {
            #pragma HLS UNROLL
            sum.copies[r] = COPIES > 1 ? guarded(value, guard, r) : value;
        }
        return sum;
    }

    static Sum load(const Int<A> (&values)[COPIES], GuardBits guard) {
        #pragma HLS INLINE
        Sum sum;
        for (int r = 0; r < COPIES; r++) {
            #pragma HLS UNROLL
            sum.copies[r] = COPIES > 1 ? guarded(values[r], guard, r) : values[r];
        }
        return sum;
    }

    static Sum add(const Sum &a, const Sum &b) {
        #pragma HLS INLINE
        Sum sum;
        for (int r = 0; r < COPIES; r++) {
            #pragma HLS UNROLL
            sum.copies[r] = Adder::add(a.copies[r], b.copies[r]);
        }
        return sum;
    }

    Int<A> result(Flags &flags) const {
        #pragma HLS INLINE
        return resolve(copies, flags);
    }

    int flip(int replica, int bit) {
        if (replica >= COPIES)
            return 0;
        copies[replica][bit] = !copies[replica][bit];
        return 1;
    }
};

} // namespace codesign

#endif
