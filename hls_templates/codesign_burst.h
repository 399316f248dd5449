// The C interface of a compiled board project: bursts of beats through the exported wrapper, as a DMA sends them.
//
// Only the simulation's glue (csim.cpp) includes this. `top` is called as top(stream_in, stream_out, host, read), once
// a sample, with the registers in the order of codesign.json. A handle is one accelerator: its registers keep their
// content from burst to burst. Several threads may have handles of their own; one handle belongs to one call at a time.
#ifndef CODESIGN_BURST_H_
#define CODESIGN_BURST_H_

#include "codesign_axi.h"
#include "codesign_csim.h"

namespace codesign {

const int64_t TOO_SMALL = -1, UNREAD = -2;

// An accelerator, as after reset.
struct BoardState {
    explicit BoardState(int n_read) : read(n_read, 0) {}
    Context context;
    std::vector<uint32_t> read; // what the host sees
};

struct Burst {
    const uint8_t *data;
    const uint64_t *keep;
    const uint8_t *last;
    int64_t n_beats;
};

struct Answer {
    uint8_t *data;
    uint64_t *keep;
    uint8_t *last;
    int64_t capacity, n_beats;
};

template <class beat_T, int W> void send(const Burst &burst, int64_t index, hls::stream<beat_T> &stream) {
    beat_T beat;
    beat.data = 0;
    for (int byte = 0; byte < W / 8; byte++)
        beat.data.range(8 * byte + 7, 8 * byte) = burst.data[index * (W / 8) + byte];
    beat.keep = burst.keep[index];
    beat.last = burst.last[index] != 0;
    strobe(beat);
    stream.write(beat);
}

template <class beat_T, int W> void receive(hls::stream<beat_T> &stream, Answer &answer) {
    const beat_T beat = stream.read();
    for (int byte = 0; byte < W / 8; byte++)
        answer.data[answer.n_beats * (W / 8) + byte] = ap_uint<8>(beat.data.range(8 * byte + 7, 8 * byte)).to_uint();
    answer.keep[answer.n_beats] = ap_uint<64>(beat.keep).to_uint64();
    answer.last[answer.n_beats] = beat.last != 0;
    answer.n_beats++;
}

// Beats of the next sample, which end with TLAST or when there are enough; 0 when the burst ends before.
inline int64_t sample_beats(const Burst &burst, int64_t first, int64_t beats_in) {
    for (int64_t b = first; b < burst.n_beats && b < first + beats_in; b++) {
        if (burst.last[b] || b + 1 == first + beats_in)
            return b + 1 - first;
    }
    return 0;
}

// Runs a burst; says how many beats came out, TOO_SMALL or UNREAD. Hits have shape (n_faults).
template <class CONFIG_T, class beat_T, int N_LAYERS, class Top>
int64_t feed(BoardState &board, Top top, const Burst &burst, const uint32_t *host, uint32_t *read, const Fault *faults,
             int64_t n_faults, int64_t *hits, Answer answer) {
    typedef Layout<CONFIG_T::bits, CONFIG_T::lane_in, CONFIG_T::n_in> layout;
    Simulation simulation(board.context, faults, n_faults, N_LAYERS, hits);
    int64_t sent = 0;
    for (int64_t sample = 0; sent < burst.n_beats; sample++) {
        const int64_t beats = sample_beats(burst, sent, layout::beats);
        if (beats == 0)
            return UNREAD; // hardware would wait for the rest
        hls::stream<beat_T> in("stream_in"), out("stream_out");
        for (int64_t b = 0; b < beats; b++)
            send<beat_T, CONFIG_T::bits>(burst, sent + b, in);
        sent += beats;
        simulation.arm(sample);
        top(in, out, host, board.read.data());
        if (!in.empty())
            return UNREAD;
        if (answer.n_beats + int64_t(out.size()) > answer.capacity)
            return TOO_SMALL;
        while (!out.empty())
            receive<beat_T, CONFIG_T::bits>(out, answer);
    }
    std::copy(board.read.begin(), board.read.end(), read);
    return answer.n_beats;
}

} // namespace codesign

#endif
