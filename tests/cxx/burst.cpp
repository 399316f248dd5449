// codesign_burst.h: what a burst holds, what is refused, and registers that keep their content.
#include "bench.h"
#include "codesign_burst.h"

using namespace codesign;

struct config {
    static const int bits = 32, n_in = 6, lane_in = 8, n_out = 3, lane_out = 16;
    static const unsigned id_network = 1, id_plan = 2;
};
typedef Beat<32> beat_t;
typedef ap_fixed<9, 4> out_t;

// Every other input, in a lane of 16 bits. `wasteful` reads a beat too few, as if it had forgotten the padding.
struct Top {
    bool wasteful;
    void operator()(hls::stream<beat_t> &in, hls::stream<beat_t> &out, const uint32_t *host, uint32_t *read) const {
        hls::stream<Frame> frames("frames");
        ap_fixed<8, 4> values[6];
        out_t result[3];
        ap_uint<32> words[4] = {0, 0, 0, 0};
        if (wasteful && in.size() > 1) {
            in.read();
            return;
        }
        load<config>(in, values, frames);
        for (int o = 0; o < 3; o++)
            result[o] = from_bits<out_t>(bits_of(values[2 * o]) + int64_t(host[0]));
        CODESIGN_TAP_OUTPUTS(out_t, 3, 3, result, 0);
        deliver<config>(result, frames, out, words[0], words[1], words[2], words[3]);
        for (int word = 0; word < 4; word++)
            read[word] = words[word].to_uint();
    }
};

struct Call {
    uint8_t data[24], last[6], out_data[64], out_last[16];
    uint64_t keep[6], out_keep[16];
    uint32_t read[4];
    int64_t hits[1];

    Call() : data(), last(), out_data(), out_last(), keep(), out_keep(), read(), hits() {
        for (int byte = 0; byte < 24; byte++)
            data[byte] = uint8_t(byte);
        last[5] = 1;
    }
    int64_t run(BoardState &board, int64_t beats, int64_t capacity, bool wasteful = false, uint32_t offset = 0) {
        const Fault faults[1] = {{0, ACTIVATION, 1, 0, 0, 4, 2, 0}};
        const Burst burst = {data, keep, last, beats};
        const Answer answer = {out_data, out_keep, out_last, capacity, 0};
        const Top top = {wasteful};
        return feed<config, beat_t, 1>(board, top, burst, &offset, read, faults, 1, hits, answer);
    }
};

bool values_come_out() {
    BoardState board(4);
    Call call;
    bool right = call.run(board, 6, 16, false, 100) == 6;
    for (int o = 0; o < 9; o++) {
        const int place = 8 * (o / 3) + 2 * (o % 3);
        const int value = 8 * (o / 3) + 2 * (o % 3) + 100;
        right &= call.out_data[place] == (o == 7 ? value ^ 16 : value);
        right &= call.out_keep[place / 4] == (place % 8 < 4 ? 15u : 3u);
    }
    return right && call.hits[0] == 1 && call.out_last[5] == 1 && call.out_last[4] == 0;
}

bool registers_stay() {
    BoardState board(4), other(4);
    Call call;
    call.run(board, 6, 16);
    bool right = call.read[0] == 1 && call.read[1] == 2 && call.read[2] == 3;
    call.run(board, 6, 16);
    right &= call.read[2] == 6;
    call.run(board, 0, 16);
    right &= call.read[2] == 6;
    call.run(other, 0, 16);
    return right && call.read[0] == 0 && call.read[2] == 0;
}

bool what_does_not_fit_is_refused() {
    BoardState board(4);
    Call call;
    return call.run(board, 6, 5) == TOO_SMALL && call.run(board, 5, 16) == UNREAD &&
           call.run(board, 6, 16, true) == UNREAD;
}

int main() {
    check(values_come_out(), "three samples go through, one is struck");
    check(registers_stay(), "registers keep their content until another accelerator is opened");
    check(what_does_not_fit_is_refused(), "too little room, half a sample, and beats unread are told");
    return verdict();
}
