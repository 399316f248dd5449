// codesign_codes.h: every single and every double error of every word length, against codes that are spelled out.
#include "ap_fixed.h"
#include "reference.h"

using namespace codesign;

// A store of one word with some of its bits inverted.
template <class T, Code CODE> int64_t read(int64_t stored, Flags &flags) {
    const unsigned long long table[1] = {(unsigned long long)stored};
    return bits_of(Stored<T, CODE>::read(table, 0, 1, GuardBits(0), WEIGHT, 0, NoTaps(), flags));
}

template <int W, Code CODE> bool all_errors() {
    typedef ap_fixed<W, 1> T;
    const int bits = stored_bits(CODE, W);
    bool right = bits == reference::stored_width(CODE, W);
    for (int trial = 0; trial < 40; trial++) {
        const int64_t data = draw_signed(W), word = reference::encode(CODE, data, W);
        for (int first = -1; first < bits; first++) {
            for (int second = -1; second < bits; second++) { // -1: none
                const int64_t wrong = (first < 0 ? 0 : int64_t(1) << first) ^ (second < 0 ? 0 : int64_t(1) << second);
                const bool one = wrong && !(wrong & (wrong - 1)), two = wrong && !one;
                Flags flags = Flags();
                const int64_t found = read<T, CODE>(word ^ wrong, flags);
                const bool corrected = one && CODE == Code::ECC, detected = CODE == Code::ECC ? two : one;
                right &= flags.corrected == corrected && flags.detected == detected;
                if (CODE == Code::ECC || !two)
                    right &= found == (detected ? 0 : data);
            }
        }
    }
    return right;
}

// Any word at all, also with more errors than a code is made for.
template <int W, Code CODE> bool any_word() {
    typedef ap_fixed<W, 1> T;
    bool right = true;
    for (int64_t word = 0; word < int64_t(1) << stored_bits(CODE, W); word++) {
        Flags flags = Flags(), expected_flags = Flags();
        const int64_t expected = reference::wrap(reference::decode(CODE, word, W, expected_flags), W);
        right &= read<T, CODE>(word, flags) == expected;
        right &= flags.corrected == expected_flags.corrected && flags.detected == expected_flags.detected;
    }
    return right;
}

bool copies_are_voted() {
    typedef ap_fixed<6, 1> T;
    bool right = true;
    for (int bit = 0; bit < 6; bit++) {
        for (int copy = 0; copy < 3; copy++) {
            unsigned char table[6] = {1, 37, 1, 37, 1, 37};
            table[2 * copy + 1] ^= 1 << bit;
            Flags flags = Flags(), guarded_flags = Flags();
            const T struck = Stored<T, Code::TRIPLE>::read(table, 1, 2, GuardBits(0), WEIGHT, 0, NoTaps(), flags);
            const T guarded =
                Stored<T, Code::TRIPLE>::read(table, 0, 2, GuardBits(1 << copy), WEIGHT, 0, NoTaps(), guarded_flags);
            right &= bits_of(struck) == 37 - 64 && flags.corrected && !flags.detected;
            right &= bits_of(guarded) == 1 && guarded_flags.corrected;
        }
    }
    return right;
}

int main() {
    // Data bits 1, 0, 1, 1 on the positions 3, 5, 6, 7: the check bits are 3 ^ 6 ^ 7 = 2, and the word's parity is
    // even.
    check(reference::encode(Code::ECC, 13, 4) == (13 | 2 << 4), "a code word by hand");
    check(all_errors<1, Code::PARITY>() && all_errors<8, Code::PARITY>() && all_errors<17, Code::PARITY>(),
          "parity: single and double errors");
    check(all_errors<1, Code::ECC>() && all_errors<2, Code::ECC>() && all_errors<4, Code::ECC>() &&
              all_errors<8, Code::ECC>() && all_errors<11, Code::ECC>() && all_errors<12, Code::ECC>() &&
              all_errors<26, Code::ECC>(),
          "SECDED: single and double errors");
    check(any_word<1, Code::ECC>() && any_word<4, Code::ECC>() && any_word<7, Code::ECC>() &&
              any_word<12, Code::ECC>() && any_word<7, Code::PARITY>(),
          "any word at all");
    check(copies_are_voted(), "three copies are put to the vote, each behind its guard");
    return verdict();
}
