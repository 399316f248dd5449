// A neuron's sum, cut in two: the low bits exist once, the hardened high bits three times.
//
// Sum<A, H> holds an A-bit two's complement number of which the H most significant bits are triplicated.
// The carry of the shared low part enters all three copies at every addition, so each copy together
// with the low part is an ordinary A-bit accumulator. H = 0 is a plain accumulator, H = A classic TMR.
#ifndef CODESIGN_VOTE_H_
#define CODESIGN_VOTE_H_

#include "ap_int.h"

namespace codesign {

const int REPLICAS = 3;

// One bit a copy, unknown to the tools and zero in operation: an operand that is xor-ed with it differs
// between the copies, so that no optimiser can merge them. Raised on purpose it corrupts one copy.
typedef ap_uint<REPLICAS> Guard;

template <int W> ap_int<W> guarded(ap_int<W> operand, bool guard) {
    #pragma HLS INLINE
    operand[0] = bool(operand[0]) ^ guard;
    return operand;
}

// Bitwise majority of three copies; `mismatch` is raised when they are not all equal.
template <int W> ap_int<W> majority(const ap_int<W> copies[REPLICAS], bool &mismatch) {
    #pragma HLS INLINE
    mismatch |= (copies[0] != copies[1]) || (copies[0] != copies[2]);
    return (copies[0] & copies[1]) | (copies[0] & copies[2]) | (copies[1] & copies[2]);
}

// Partly hardened: 0 < H < A.
template <int A, int H> struct Sum {
    static const int CUT = A - H;
    ap_uint<CUT> low;
    ap_int<H> high[REPLICAS];

    static Sum load(ap_int<A> value, Guard guard) {
        #pragma HLS INLINE
        Sum sum;
        sum.low = value;
        const ap_int<H> high = value >> CUT;
        for (int r = 0; r < REPLICAS; r++) {
            #pragma HLS UNROLL
            sum.high[r] = guarded<H>(high, guard[r]);
        }
        return sum;
    }

    static Sum add(const Sum &a, const Sum &b) {
        #pragma HLS INLINE
        Sum sum;
        const ap_uint<CUT + 1> low = a.low + b.low;
        sum.low = low;
        const ap_uint<1> carry = low[CUT];
        for (int r = 0; r < REPLICAS; r++) {
            #pragma HLS UNROLL
            sum.high[r] = add_with_carry(a.high[r], b.high[r], carry);
        }
        return sum;
    }

    ap_int<A> vote(bool &mismatch) const {
        #pragma HLS INLINE
        return (ap_int<A>(majority<H>(high, mismatch)) << CUT) | ap_int<A>(low);
    }

    // Invert a bit, counted from the accumulator's least significant one; says how many bits it found.
    int flip(int replica, int bit) {
        if (bit < CUT) {
            if (replica != 0)
                return 0;
            low[bit] = !low[bit];
        } else {
            high[replica][bit - CUT] = !high[replica][bit - CUT];
        }
        return 1;
    }

  private:
    // One adder of H + 1 bits: a constant one below `a` turns the carry below `b` into a carry-in.
    static ap_int<H> add_with_carry(ap_int<H> a, ap_int<H> b, ap_uint<1> carry) {
        #pragma HLS INLINE
        const ap_int<H + 1> left = (ap_int<H + 1>(a) << 1) | ap_int<H + 1>(1);
        const ap_int<H + 1> right = (ap_int<H + 1>(b) << 1) | ap_int<H + 1>(carry);
        return ap_int<H + 1>(left + right) >> 1;
    }
};

// Not hardened.
template <int A> struct Sum<A, 0> {
    ap_int<A> value;

    static Sum load(ap_int<A> value, Guard) {
        #pragma HLS INLINE
        Sum sum;
        sum.value = value;
        return sum;
    }
    static Sum add(const Sum &a, const Sum &b) {
        #pragma HLS INLINE
        Sum sum;
        sum.value = a.value + b.value;
        return sum;
    }
    ap_int<A> vote(bool &) const {
        #pragma HLS INLINE
        return value;
    }
    int flip(int replica, int bit) {
        if (replica != 0)
            return 0;
        value[bit] = !value[bit];
        return 1;
    }
};

// Classic TMR: nothing is shared.
template <int A> struct Sum<A, A> {
    ap_int<A> copies[REPLICAS];

    static Sum load(ap_int<A> value, Guard guard) {
        #pragma HLS INLINE
        Sum sum;
        for (int r = 0; r < REPLICAS; r++) {
            #pragma HLS UNROLL
            sum.copies[r] = guarded<A>(value, guard[r]);
        }
        return sum;
    }
    static Sum add(const Sum &a, const Sum &b) {
        #pragma HLS INLINE
        Sum sum;
        for (int r = 0; r < REPLICAS; r++) {
            #pragma HLS UNROLL
            sum.copies[r] = a.copies[r] + b.copies[r];
        }
        return sum;
    }
    ap_int<A> vote(bool &mismatch) const {
        #pragma HLS INLINE
        return majority<A>(copies, mismatch);
    }
    int flip(int replica, int bit) {
        copies[replica][bit] = !copies[replica][bit];
        return 1;
    }
};

} // namespace codesign

#endif
