// codesign_csim.h: batches through arrays and through streams; what strikes which sample; streams that do not drain;
// simulations beside each other.
#include "ap_fixed.h"
#include "bench.h"
#include "codesign_csim.h"
#include "codesign_status.h"
#include "nnet_types.h"
#include <thread>

using namespace codesign;

typedef ap_fixed<8, 3> in_t;
typedef ap_ufixed<6, 2> out_t;
typedef nnet::array<in_t, 2> in_pack;
typedef nnet::array<out_t, 1> out_pack;
const int N_IN = 4, N_OUT = 2, N_STATUS = 3, SAMPLES = 5;

// The bits of every other input. A raised guard is reported as a correction.
struct Arrays {
    void operator()(in_t *data, out_t *result, Guard guard, bool clear, ap_uint<32> *status) const {
        for (int o = 0; o < N_OUT; o++)
            result[o] = from_bits<out_t>(bits_of(data[2 * o]));
        CODESIGN_TAP_OUTPUTS(out_t, 2, 1, result, 0);
        Flags flags[1] = {};
        flags[0].corrected = guard != 0;
        report<1>(flags, clear, status);
    }
};
// The same, which reads `reads` packs and writes `writes`.
struct Streams {
    int reads, writes;
    void operator()(hls::stream<in_pack> &data, hls::stream<out_pack> &result, Guard guard, bool clear,
                    ap_uint<32> *status) const {
        for (int o = 0; o < reads || o < writes; o++) {
            out_pack pack;
            if (o < reads)
                pack[0] = from_bits<out_t>(bits_of(data.read()[0]));
            if (o < writes)
                result.write(pack);
        }
        if (writes == 2)
            CODESIGN_TAP_OUTPUTS(out_pack, 2, 1, result, 0);
        Flags flags[1] = {};
        flags[0].corrected = guard != 0;
        report<1>(flags, clear, status);
    }
};

struct Batch {
    int64_t inputs[SAMPLES * N_IN], outputs[SAMPLES * N_OUT], hits[3];
    uint32_t status[SAMPLES * N_STATUS];
    bool well;

    Batch() : hits(), well(false) {
        for (int i = 0; i < SAMPLES * N_IN; i++)
            inputs[i] = 13 * i % 256 - 128;
    }
    // Bit 5 of pixel 0 in sample 3, bit 0 of pixel 1 in every sample, and once more, with pixel 0, in sample 4.
    Batch &run(const Streams *streams, bool clear_each, uint32_t guard) {
        const Fault faults[3] = {{0, ACTIVATION, 0, 0, 0, 5, 3, 0},
                                 {0, ACTIVATION, 0, 0, 0, 0, EVERY, 1},
                                 {0, ACTIVATION, 0, 0, 0, 0, 4, EVERY}};
        if (streams)
            well = run_batch_stream<in_pack, N_IN, out_pack, N_OUT, 1, N_STATUS>(
                *streams, inputs, SAMPLES, faults, 3, guard, clear_each, outputs, status, hits);
        else
            well = run_batch<in_t, N_IN, out_t, N_OUT, 1, N_STATUS>(Arrays(), inputs, SAMPLES, faults, 3, guard,
                                                                    clear_each, outputs, status, hits);
        return *this;
    }
    bool right() const {
        bool same = well && hits[0] == 1 && hits[1] == SAMPLES && hits[2] == 2;
        for (int sample = 0; sample < SAMPLES; sample++) {
            for (int o = 0; o < N_OUT; o++) {
                const int64_t clean = inputs[sample * N_IN + 2 * o] & 63;
                const int64_t flips = (o == 1) ^ (sample == 4) ^ (sample == 3 && o == 0 ? 32 : 0);
                same &= outputs[sample * N_OUT + o] == (clean ^ flips);
            }
        }
        return same;
    }
};

int main() {
    const Streams streams = {2, 2};
    check(Batch().run(nullptr, true, 0).right(), "arrays");
    check(Batch().run(&streams, true, 0).right(), "streams");
    const Batch each = Batch().run(nullptr, true, 1), all = Batch().run(nullptr, false, 1);
    check(each.status[2] == 1 && each.status[4 * N_STATUS + 2] == 1, "status of each sample");
    check(all.status[2] == 1 && all.status[4 * N_STATUS + 2] == 5, "status over a batch");
    const Streams unread = {1, 2}, mute = {2, 1}, chatty = {2, 3};
    check(!Batch().run(&unread, true, 0).well, "input that is not read is noticed");
    check(!Batch().run(&mute, true, 0).well, "output that is missing is noticed");
    check(!Batch().run(&chatty, true, 0).well, "output beyond the last is noticed");

    bool right[4];
    std::thread threads[4];
    for (int t = 0; t < 4; t++)
        threads[t] = std::thread([&right, &streams, t] {
            right[t] = true;
            for (int n = 0; n < 200; n++)
                right[t] &= Batch().run(t % 2 ? &streams : nullptr, true, 0).right();
        });
    for (int t = 0; t < 4; t++)
        threads[t].join();
    check(right[0] && right[1] && right[2] && right[3], "simulations in four threads");
    return verdict();
}
