// codesign_status.h: sticky bits, counters that stop at their end, and clearing.
#include "bench.h"
#include "codesign_status.h"

using namespace codesign;

static ap_uint<32> status[5];

static void sample(int corrected, int detected, bool clear) {
    Flags flags[3];
    for (int k = 0; k < 3; k++) {
        flags[k].corrected = corrected >> k & 1;
        flags[k].detected = detected >> k & 1;
    }
    report<3>(flags, clear, status);
}

static bool reads(uint32_t corrected, uint32_t detected, uint32_t first, uint32_t second, uint32_t third) {
    return status[0] == corrected && status[1] == detected && status[2] == first && status[3] == second &&
           status[4] == third;
}

int main() {
    Context context;
    Context::active() = &context;
    sample(0, 0, false);
    check(reads(0, 0, 0, 0, 0), "nothing happened");
    sample(1, 4, false);
    sample(3, 4, false);
    check(reads(3, 4, 2, 1, 2u << 16), "events are counted by layer and kind");
    sample(0, 0, false);
    check(reads(3, 4, 2, 1, 2u << 16), "and stay");
    sample(2, 2, true);
    check(reads(2, 2, 0, 1 | 1u << 16, 0), "clearing comes before the sample's own events");
    for (int n = 0; n < 70000; n++)
        sample(4, 4, false);
    check(reads(6, 6, 0, 1 | 1u << 16, 0xFFFFFFFFu), "counters stop at their end");

    Context other;
    Context::active() = &other;
    sample(1, 0, false);
    check(reads(1, 0, 1, 0, 0), "another simulation has registers of its own");
    Context::active() = nullptr;
    return verdict();
}
