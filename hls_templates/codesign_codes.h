// Stored parameters that survive or reveal upsets of their memory: three copies, a parity bit, or SECDED.
//
// The tables hold words: a parameter's W data bits, and above them the check bits of its code.
//   PLAIN   the bare parameter
//   TRIPLE  three tables behind each other, read through the guard and voted bit by bit
//   PARITY  bit W makes the word's parity even; where it is odd the value read is zero
//   ECC     extended Hamming code: the data bits take the positions 3, 5, 6, 7, 9, ... (no powers of two) in
//           ascending order; check bit W + i is the parity of the data bits whose position has bit i; the last bit
//           makes the word's parity even. One wrong bit is corrected; two are found, and the value read is zero.
#ifndef CODESIGN_CODES_H_
#define CODESIGN_CODES_H_

#include "codesign_taps.h"
#include "codesign_vote.h"

namespace codesign {

enum class Code { PLAIN, TRIPLE, PARITY, ECC };

// Check bits of a Hamming code over `width` data bits: the smallest r with 2^r >= width + r + 1.
constexpr int check_bits(int width, int r = 0) { return (1 << r) >= width + r + 1 ? r : check_bits(width, r + 1); }

// Bits of a stored word.
constexpr int stored_bits(Code code, int width) {
    return code == Code::PARITY ? width + 1 : code == Code::ECC ? width + check_bits(width) + 1 : width;
}

template <int N> bool parity(const UInt<N> &word) {
    #pragma HLS INLINE
    bool odd = false;
    for (int bit = 0; bit < N; bit++) {
        #pragma HLS UNROLL
        odd ^= bool(word[bit]);
    }
    return odd;
}

// Reads parameter `index` of a table of `size` parameters, through the taps of its stored words.
template <class T, Code CODE> struct Stored;

template <class T> struct Stored<T, Code::PLAIN> {
    template <class table_T, class Taps>
    static T read(table_T table, unsigned index, unsigned, GuardBits, Target target, unsigned position,
                  const Taps &taps, Flags &) {
        #pragma HLS INLINE
        return taps.word(target, position, 0, from_bits<T>(table[index]));
    }
};

template <class T> struct Stored<T, Code::TRIPLE> {
    template <class table_T, class Taps>
    static T read(table_T table, unsigned index, unsigned size, GuardBits guard, Target target, unsigned position,
                  const Taps &taps, Flags &flags) {
        #pragma HLS INLINE
        UInt<T::width> copies[3];
        #pragma HLS ARRAY_PARTITION variable = copies complete
        for (unsigned r = 0; r < 3; r++) {
            #pragma HLS UNROLL
            const UInt<T::width> word = table[r * size + index];
            copies[r] = guarded(UInt<T::width>(taps.word(target, position, r, word)), guard, r);
        }
        return from_bits<T>(resolve(copies, flags));
    }
};

template <class T> struct Stored<T, Code::PARITY> {
    template <class table_T, class Taps>
    static T read(table_T table, unsigned index, unsigned, GuardBits, Target target, unsigned position,
                  const Taps &taps, Flags &flags) {
        #pragma HLS INLINE
        const int W = T::width;
        const UInt<W + 1> stored = table[index];
        const UInt<W + 1> word = taps.word(target, position, 0, stored);
        const bool odd = parity<W + 1>(word);
        flags.detected |= odd;
        return from_bits<T>(odd ? UInt<W>(0) : UInt<W>(word));
    }
};

template <class T> struct Stored<T, Code::ECC> {
    template <class table_T, class Taps>
    static T read(table_T table, unsigned index, unsigned, GuardBits, Target target, unsigned position,
                  const Taps &taps, Flags &flags) {
        #pragma HLS INLINE
        const int N = stored_bits(Code::ECC, T::width);
        const UInt<N> word = table[index];
        return from_bits<T>(decode(taps.word(target, position, 0, word), flags));
    }

  private:
    static const int W = T::width, CHECKS = check_bits(W);

    static UInt<W> decode(const UInt<W + CHECKS + 1> &word, Flags &flags) {
        #pragma HLS INLINE
        const unsigned syndrome = syndrome_of(word);
        const bool odd = parity<W + CHECKS + 1>(word);
        // An odd number of wrong bits is taken for one; it must then lie within the word.
        const bool correctable = odd && syndrome <= unsigned(W + CHECKS);
        const bool fault = odd || syndrome != 0;
        flags.corrected |= correctable;
        flags.detected |= fault && !correctable;
        if (!correctable)
            return fault ? UInt<W>(0) : UInt<W>(word);
        return corrected(word, syndrome);
    }

    // The position of a single wrong bit: of a check bit it is a power of two, of the overall parity 0.
    static unsigned syndrome_of(const UInt<W + CHECKS + 1> &word) {
        #pragma HLS INLINE
        UInt<CHECKS> syndrome = word >> W;
        unsigned position = 3;
        for (int bit = 0; bit < W; bit++) {
            #pragma HLS UNROLL
            if (bool(word[bit]))
                syndrome = syndrome ^ UInt<CHECKS>(position);
            position = next(position);
        }
        return unsigned(syndrome);
    }

    static UInt<W> corrected(UInt<W> data, unsigned syndrome) {
        #pragma HLS INLINE
        unsigned position = 3;
        for (int bit = 0; bit < W; bit++) {
            #pragma HLS UNROLL
            data[bit] = bool(data[bit]) ^ (position == syndrome);
            position = next(position);
        }
        return data;
    }

    // The next position of a data bit: powers of two are the check bits'.
    static unsigned next(unsigned position) {
        #pragma HLS INLINE
        return (position & (position + 1)) == 0 ? position + 2 : position + 1;
    }
};

} // namespace codesign

#endif
