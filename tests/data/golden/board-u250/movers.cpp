// Kernels that move the accelerator's data between the card's memory and its streams, 512 bits at a time.
#include "ap_axi_sdata.h"
#include "ap_int.h"
#include "hls_stream.h"

typedef ap_axiu<512, 0, 0, 0> beat_t;

extern "C" {

// Sends `beats` beats, the last one with TLAST: a batch.
void mm2s(const ap_uint<512> *memory, hls::stream<beat_t> &stream, int beats) {
    #pragma HLS INTERFACE m_axi port=memory offset=slave bundle=memory
    #pragma HLS INTERFACE axis port=stream
    #pragma HLS INTERFACE s_axilite port=memory
    #pragma HLS INTERFACE s_axilite port=beats
    #pragma HLS INTERFACE s_axilite port=return
    for (int b = 0; b < beats; b++) {
        #pragma HLS PIPELINE II=1
        beat_t beat;
        beat.data = memory[b];
        beat.keep = ~ap_uint<512 / 8>(0);
        beat.strb = beat.keep;
        beat.last = b == beats - 1;
        stream.write(beat);
    }
}

// Receives `beats` beats.
void s2mm(ap_uint<512> *memory, hls::stream<beat_t> &stream, int beats) {
    #pragma HLS INTERFACE m_axi port=memory offset=slave bundle=memory
    #pragma HLS INTERFACE axis port=stream
    #pragma HLS INTERFACE s_axilite port=memory
    #pragma HLS INTERFACE s_axilite port=beats
    #pragma HLS INTERFACE s_axilite port=return
    for (int b = 0; b < beats; b++) {
        #pragma HLS PIPELINE II=1
        memory[b] = stream.read().data;
    }
}
}
