// codesign_upsets.h: words are read with the bits inverted that the slots say, of the layer that they mean.
#include "bench.h"
#include "codesign_upsets.h"

using namespace codesign;

const signed char narrow[4] = {0, -1, 5, -128};
const long long wide[2] = {1ll << 40, -1};

int main() {
    check(through(NoUpsets(), narrow) == narrow, "without slots a table is read as it is");
    const Upsets<2> upsets = Upsets<2>().set(0, 3, 3, 2, 6).set(1, 3, 3, 1, 0x80);
    const UpsetTable<signed char, 2> seen = through(upsets, narrow);
    check(seen[0] == 0 && seen[1] == 0x7f && seen[2] == 3 && seen[3] == -128, "two words are upset");
    const Upsets<2> other = Upsets<2>().set(0, 2, 3, 2, 6).set(1, 2, 0, 1, 1);
    check(through(other, narrow)[2] == 5 && through(other, narrow)[1] == -1, "those of another layer are not");
    const Upsets<2> twice = Upsets<2>().set(0, 1, 1, 0, 3).set(1, 1, 1, 0, 1);
    check(through(twice, narrow)[0] == 2, "what both invert stays");
    const Upsets<1> high = Upsets<1>().set(0, 1, 1, 0, 0x80000000u);
    check(through(high, wide)[0] == (1ll << 40) + (1ll << 31), "32 bits of a wide word are reached, no more");
    return verdict();
}
