// The C interface of this project for simulation: see firmware/nnet_utils/codesign_csim.h.
#include "firmware/small.cpp"
#include "firmware/small_axi.cpp"
#include "firmware/nnet_utils/codesign_csim.h"

struct Top {
    void operator()(hls::stream<input_t> & data, hls::stream<result_t> & result, codesign::Guard guard, bool clear, ap_uint<32> *status) const {
        small(data, result, guard, clear, status[0], status[1], status[2], status[3]);
    }
};

extern "C" __attribute__((visibility("default"))) int
codesign_run(const int64_t *inputs, int64_t n_samples, const codesign::Fault *faults, int64_t n_faults, uint32_t guard,
             int clear_each, int64_t *outputs, uint32_t *status, int64_t *hits) {
    return codesign::run_batch_stream<input_t, 6, result_t, 3, 3, 4>(
        Top(), inputs, n_samples, faults, n_faults, guard, clear_each, outputs, status, hits);
}

// Bursts through the exported top: see firmware/nnet_utils/codesign_burst.h.
#include "firmware/nnet_utils/codesign_burst.h"

struct Wrapper {
    void operator()(hls::stream<beat_t> &in, hls::stream<beat_t> &out, const uint32_t *host, uint32_t *read) const {
        ap_uint<32> words[8];
        small_axi(in, out, codesign::Guard(host[0]), bool(host[1]), words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7]);
        for (int word = 0; word < 8; word++)
            read[word] = words[word].to_uint();
    }
};

#define CODESIGN_EXPORT extern "C" __attribute__((visibility("default")))

CODESIGN_EXPORT void *codesign_board_open(void) { return new codesign::BoardState(8); }

CODESIGN_EXPORT void codesign_board_close(void *handle) { delete static_cast<codesign::BoardState *>(handle); }

CODESIGN_EXPORT int64_t
codesign_board_feed(void *handle, const uint8_t *data, const uint64_t *keep, const uint8_t *last, int64_t n_beats,
                    const uint32_t *host, uint32_t *read, const codesign::Fault *faults, int64_t n_faults,
                    int64_t *hits, uint8_t *out_data, uint64_t *out_keep, uint8_t *out_last, int64_t capacity) {
    const codesign::Burst burst = {data, keep, last, n_beats};
    const codesign::Answer answer = {out_data, out_keep, out_last, capacity, 0};
    return codesign::feed<stream_config, beat_t, 3>(*static_cast<codesign::BoardState *>(handle), Wrapper(),
                                                            burst, host, read, faults, n_faults, hits, answer);
}
