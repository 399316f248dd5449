// codesign_axi_sdata.h: a beat has the members of the vendor's, as wide as they are there.
#include "bench.h"
#include "codesign_axi_sdata.h"

int main() {
    typedef ap_axiu<128, 0, 0, 0> beat_t;
    check(decltype(beat_t::data)::width == 128, "128 bits of data");
    check(decltype(beat_t::keep)::width == 16 && decltype(beat_t::strb)::width == 16, "a bit a byte");
    check(decltype(beat_t::last)::width == 1, "one bit for the end");
    return verdict();
}
