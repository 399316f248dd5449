// codesign_vote.h: sums of every cut add as plain integers do; one wrong copy is outvoted, or found, or both.
#include "bench.h"
#include "codesign_vote.h"

using namespace codesign;

const int A = 11;

// Random sums, one random bit of them inverted, against integers; `kept` says how often the right sum came out.
template <int H, int COPIES> bool sums_are_right() {
    typedef Sum<A, H, COPIES> S;
    const int cut = A - H;
    bool right = true;
    for (int trial = 0; trial < 500; trial++) {
        const int64_t a = draw_signed(A), b = draw_signed(A);
        Flags clean = Flags(), flags = Flags();
        S sum = S::add(S::load(Int<A>(a), GuardBits(0)), S::load(Int<A>(b), GuardBits(0)));
        const int64_t expected = Int<A>(a + b);
        right &= int64_t(sum.result(clean)) == expected && !clean.corrected && !clean.detected;

        const int bit = int(draw(A)), replica = int(draw(3));
        const bool exists = replica < (bit < cut ? 1 : COPIES), redundant = COPIES > 1 && bit >= cut;
        right &= sum.flip(replica, bit) == int(exists);
        const int64_t wrong = Int<A>(expected ^ int64_t(1) << bit);
        const int64_t seen = !exists ? expected : !redundant ? wrong : COPIES == 2 ? 0 : expected;
        right &= int64_t(sum.result(flags)) == seen;
        right &= flags.corrected == (exists && redundant && COPIES == 3);
        right &= flags.detected == (exists && redundant && COPIES == 2);
    }
    return right;
}

// A raised guard corrupts its copy alone, and that in the hardened bits only.
template <int H> bool guards_corrupt_one_copy() {
    typedef Sum<A, H, 3> S;
    bool right = true;
    for (int trial = 0; trial < 200; trial++) {
        const Int<A> a = draw_signed(A), b = draw_signed(A);
        Int<A> three[3];
        for (int r = 0; r < 3; r++)
            three[r] = b;
        for (int r = 0; r < 3; r++) {
            Flags flags = Flags();
            const GuardBits guard = 1 << r;
            // The other operand is not guarded, or the two flips could cancel.
            const S sum = S::add(S::load(a, guard), S::load(three, GuardBits(0)));
            right &= int64_t(sum.result(flags)) == int64_t(Int<A>(a + b)) && flags.corrected;
        }
    }
    return right;
}

// Each copy's own operand: the low part is the first one's.
bool own_operands_are_kept_apart() {
    typedef Sum<A, 5, 3> S;
    const Int<A> values[3] = {100, 100 + 1, 100 + 64};
    Flags none = Flags(), corrected = Flags();
    const Int<A> low[3] = {values[0], values[1], values[0]}, high[3] = {values[0], values[0], values[2]};
    return int64_t(S::load(low, GuardBits(0)).result(none)) == 100 && !none.corrected &&
           int64_t(S::load(high, GuardBits(0)).result(corrected)) == 100 && corrected.corrected;
}

int main() {
    check(sums_are_right<A, 1>(), "plain sums");
    check(sums_are_right<A, 3>() && sums_are_right<A, 2>(), "sums of whole copies");
    check(sums_are_right<1, 3>() && sums_are_right<4, 3>() && sums_are_right<A - 1, 3>(), "cut sums, three copies");
    check(sums_are_right<1, 2>() && sums_are_right<4, 2>() && sums_are_right<A - 1, 2>(), "cut sums, two copies");
    check(guards_corrupt_one_copy<A>() && guards_corrupt_one_copy<3>(), "a raised guard is outvoted");
    check(own_operands_are_kept_apart(), "copies with operands of their own");
    return verdict();
}
