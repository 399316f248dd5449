// Layers whose neurons are protected selectively: dense, convolution, depthwise convolution, addition.
//
// Each stands beside hls4ml's layer of that kind, for arrays (io_parallel) and for streams of packs (io_stream), and
// gives the same integers as long as nothing is upset. CONFIG_T is a plain struct:
//
//   in_height, in_width, n_chan         the input, channels last
//   filt_height, filt_width             the kernel
//   stride_height, stride_width         its steps
//   pad_top, pad_bottom, pad_left, pad_right   zeros around the input
//   out_height, out_width, n_filt       the output
//   reuse_factor                        passes of one pixel; divides the number of products of a neuron
//   accum_t, weight_t, bias_t           number types
//   product<x_T, w_T>                   how an operand is multiplied, as nnet::product::mult
//   layer_id                            index of the layer in fault lists
//   hardened_bits[n_filt]               hardened most significant bits of each neuron, 0 to the accumulator's width
//   mechanism, harden_multipliers       what a hardened bit means: Mechanism, and whether each copy multiplies itself
//   dot_size                            multipliers of the unit that recomputes
//   parameter_code                      Code of the stored parameters
//
// A dense layer is a convolution over a single pixel of n_chan values. An addition has no parameters and needs no
// more than out_height, out_width, n_filt, accum_t, layer_id, hardened_bits, mechanism.
//
// Weights are a table of raw integers, or of stored words (codesign_codes.h), in a native C type: for each stored
// copy a matrix of K rows and n_filt columns; K counts a neuron's products in the order (row, column, channel).
// `slots` invert bits of stored weights as they are read (codesign_upsets.h); by default there are none.
// `flags` tells of this sample whether the layer corrected or detected anything.
#ifndef CODESIGN_LAYERS_H_
#define CODESIGN_LAYERS_H_

#include "codesign_neuron.h"
#include "codesign_recompute.h"
#include "codesign_taps.h"
#include "codesign_upsets.h"
#include "hls_stream.h"
#include "nnet_common.h"

namespace codesign {

// A layer's neurons and what they work on: one pixel's window at a time.
template <class data_T, class CONFIG_T, class FEED> struct Unit {
    typedef typename CONFIG_T::accum_t accum_t;
    // Recomputing takes loops of its own after the passes; else a pixel is done with its last pass.
    typedef std::integral_constant<bool, CONFIG_T::mechanism == Mechanism::RECOMPUTE> Recomputes;

    data_T windows[FEED::windows][FEED::window]; // what each copy reads, in the order (row, column, channel)
    Neurons<CONFIG_T, FEED, 0, CONFIG_T::n_filt> neurons;
    accum_t sums[CONFIG_T::n_filt];

    Unit() {
        #pragma HLS INLINE
        #pragma HLS ARRAY_PARTITION variable = windows complete dim = 0
        #pragma HLS ARRAY_PARTITION variable = sums complete
    }

    // What copies 1 and 2 read, after a new window has come.
    void guard_copies(GuardBits guard) {
        #pragma HLS INLINE
        for (int copy = 1; copy < FEED::windows; copy++) {
            #pragma HLS UNROLL
            for (unsigned i = 0; i < FEED::window; i++) {
                #pragma HLS UNROLL
                windows[copy][i] = guarded(windows[0][i], guard, copy);
            }
        }
    }

    template <class weights_T, class bias_word_T>
    void recompute(weights_T weights, const bias_word_T *biases, unsigned pixel, GuardBits guard, const LayerTaps &taps,
                   Flags &flags, std::true_type) {
        #pragma HLS INLINE
        SharedUnit<CONFIG_T, FEED>::run(windows, sums, weights, biases, pixel, guard, taps, flags);
    }
    template <class weights_T, class bias_word_T>
    void recompute(weights_T, const bias_word_T *, unsigned, GuardBits, const LayerTaps &, Flags &, std::false_type) {
        #pragma HLS INLINE
    }

    template <class res_T> void write(res_T *res, unsigned pixel) const {
        #pragma HLS INLINE
        for (unsigned j = 0; j < CONFIG_T::n_filt; j++) {
            #pragma HLS UNROLL
            res[pixel * CONFIG_T::n_filt + j] = res_T(sums[j]);
        }
    }
    template <class res_T> void write(hls::stream<res_T> &res) const {
        #pragma HLS INLINE
        res_T pack;
        PRAGMA_DATA_PACK(pack)
        for (unsigned j = 0; j < CONFIG_T::n_filt; j++) {
            #pragma HLS UNROLL
            pack[j] = typename res_T::value_type(sums[j]);
        }
        res.write(pack);
    }
};

// The window of an output pixel; beyond the input there are zeros.
template <class data_T, class CONFIG_T> void gather(const data_T *data, unsigned pixel, data_T *window) {
    #pragma HLS INLINE
    const int top = int(pixel / CONFIG_T::out_width * CONFIG_T::stride_height) - int(CONFIG_T::pad_top);
    const int left = int(pixel % CONFIG_T::out_width * CONFIG_T::stride_width) - int(CONFIG_T::pad_left);
GatherRows:
    for (int row = 0; row < int(CONFIG_T::filt_height); row++) {
        #pragma HLS UNROLL
    GatherColumns:
        for (int column = 0; column < int(CONFIG_T::filt_width); column++) {
            #pragma HLS UNROLL
            const int y = top + row, x = left + column;
            const bool inside = 0 <= y && y < int(CONFIG_T::in_height) && 0 <= x && x < int(CONFIG_T::in_width);
        GatherChannels:
            for (int c = 0; c < int(CONFIG_T::n_chan); c++) {
                #pragma HLS UNROLL
                const int to = (row * CONFIG_T::filt_width + column) * CONFIG_T::n_chan + c;
                window[to] = inside ? data[(y * int(CONFIG_T::in_width) + x) * int(CONFIG_T::n_chan) + c] : data_T(0);
            }
        }
    }
}

// The last rows of a stream of pixels, and the window that slides over them.
template <class data_T, class CONFIG_T> struct LineBuffer {
    static const int rows = CONFIG_T::filt_height, columns = CONFIG_T::filt_width, channels = CONFIG_T::n_chan;
    static const int width = CONFIG_T::in_width + CONFIG_T::pad_left + CONFIG_T::pad_right;
    static const int height = CONFIG_T::in_height + CONFIG_T::pad_top + CONFIG_T::pad_bottom;
    data_T lines[rows > 1 ? rows - 1 : 1][width][channels];

    LineBuffer() {
        #pragma HLS INLINE
        #pragma HLS ARRAY_PARTITION variable = lines complete dim = 1
        #pragma HLS ARRAY_PARTITION variable = lines complete dim = 3
    }

    // Pixel x of the present row enters, and the window moves to where it ends there.
    void slide(const data_T *pixel, int x, data_T *window) {
        #pragma HLS INLINE
        for (int c = 0; c < channels; c++) {
            #pragma HLS UNROLL
            data_T entering = pixel[c];
            for (int row = rows - 1; row >= 0; row--) {
                #pragma HLS UNROLL
                for (int column = 0; column < columns - 1; column++) {
                    #pragma HLS UNROLL
                    const int to = (row * columns + column) * channels + c;
                    window[to] = window[to + channels];
                }
                window[(row * columns + columns - 1) * channels + c] = entering;
                if (row > 0) {
                    const data_T leaving = lines[row - 1][x][c];
                    lines[row - 1][x][c] = entering;
                    entering = leaving;
                }
            }
        }
    }
};

template <class data_T, class res_T, class CONFIG_T, class FEED, class weight_word_T, class bias_word_T,
          class slots_T = codesign::NoUpsets>
void convolve(const data_T *data, res_T *res, const weight_word_T *weights, const bias_word_T *biases, GuardBits guard,
              Flags &flags, const slots_T &slots = slots_T()) {
    #pragma HLS function_instantiate variable = weights, biases
    if (FEED::passes == 1) { // constants in logic
        #pragma HLS ARRAY_PARTITION variable = weights complete
    } else { // a memory, of which one word holds the weights of a pass
        #pragma HLS ARRAY_RESHAPE variable = weights cyclic factor = FEED::pass_weights
    }
    if (CONFIG_T::parameter_code != Code::PLAIN) { // in logic the checks of known words would be optimised away
        #pragma HLS RESOURCE variable = weights core = ROM_nP_BRAM
    }
    #pragma HLS ARRAY_PARTITION variable = biases complete
    typedef Unit<data_T, CONFIG_T, FEED> Layer;
    const auto table = through(slots, weights);
    const LayerTaps taps(CONFIG_T::layer_id);
    flags = Flags();
    Layer unit;
PixelLoop:
    for (unsigned pixel = 0; pixel < CONFIG_T::out_height * CONFIG_T::out_width; pixel++) {
    PassLoop:
        for (unsigned pass = 0; pass < FEED::passes; pass++) {
            #pragma HLS LOOP_FLATTEN
            #pragma HLS PIPELINE II = 1
            if (pass == 0) {
                gather<data_T, CONFIG_T>(data, pixel, unit.windows[0]);
                unit.guard_copies(guard);
            }
            unit.neurons.pass(unit.windows, unit.sums, table, biases, pixel, pass, guard, taps, flags);
            if (pass == FEED::passes - 1 && !Layer::Recomputes::value)
                unit.write(res, pixel);
        }
        if (Layer::Recomputes::value) {
            unit.recompute(table, biases, pixel, guard, taps, flags, typename Layer::Recomputes());
            unit.write(res, pixel);
        }
    }
}

// The pixel at (y, x) of the padded input: read from the stream, or zeros.
template <class data_T, class CONFIG_T>
void read_pixel(hls::stream<data_T> &data, int y, int x, typename data_T::value_type *pixel) {
    #pragma HLS INLINE
    const int pack_size = data_T::size, channels = CONFIG_T::n_chan;
    const bool inside = int(CONFIG_T::pad_top) <= y && y < int(CONFIG_T::pad_top + CONFIG_T::in_height) &&
                        int(CONFIG_T::pad_left) <= x && x < int(CONFIG_T::pad_left + CONFIG_T::in_width);
    for (int first = 0; first < channels; first += pack_size) {
        #pragma HLS UNROLL
        data_T pack;
        PRAGMA_DATA_PACK(pack)
        if (inside)
            pack = data.read();
        for (int i = 0; i < pack_size; i++) {
            #pragma HLS UNROLL
            pixel[first + i] = inside ? pack[i] : typename data_T::value_type(0);
        }
    }
}

// Does a window end at this row (or column) of the padded input?
inline bool ends_window(int at, int length, int stride, int windows) {
    #pragma HLS INLINE
    const int first = at - (length - 1);
    return first >= 0 && first % stride == 0 && first <= (windows - 1) * stride;
}

template <class data_T, class res_T, class CONFIG_T, class FEED, class weight_word_T, class bias_word_T,
          class slots_T = codesign::NoUpsets>
void convolve(hls::stream<data_T> &data, hls::stream<res_T> &res, const weight_word_T *weights,
              const bias_word_T *biases, GuardBits guard, Flags &flags, const slots_T &slots = slots_T()) {
    #pragma HLS function_instantiate variable = weights, biases
    if (FEED::passes == 1) { // constants in logic
        #pragma HLS ARRAY_PARTITION variable = weights complete
    } else { // a memory, of which one word holds the weights of a pass
        #pragma HLS ARRAY_RESHAPE variable = weights cyclic factor = FEED::pass_weights
    }
    if (CONFIG_T::parameter_code != Code::PLAIN) { // in logic the checks of known words would be optimised away
        #pragma HLS RESOURCE variable = weights core = ROM_nP_BRAM
    }
    #pragma HLS ARRAY_PARTITION variable = biases complete
    typedef typename data_T::value_type value_T;
    typedef Unit<value_T, CONFIG_T, FEED> Layer;
    typedef LineBuffer<value_T, CONFIG_T> Buffer;
    const auto table = through(slots, weights);
    const LayerTaps taps(CONFIG_T::layer_id);
    flags = Flags();
    Layer unit;
    Buffer buffer;
    unsigned pixel = 0;
RowLoop:
    for (int y = 0; y < Buffer::height; y++) {
    ColumnLoop:
        for (int x = 0; x < Buffer::width; x++) {
            const bool ends = ends_window(y, CONFIG_T::filt_height, CONFIG_T::stride_height, CONFIG_T::out_height) &&
                              ends_window(x, CONFIG_T::filt_width, CONFIG_T::stride_width, CONFIG_T::out_width);
        PassLoop:
            for (unsigned pass = 0; pass < FEED::passes; pass++) {
                #pragma HLS LOOP_FLATTEN
                #pragma HLS PIPELINE II = 1
                if (pass == 0) {
                    value_T entering[CONFIG_T::n_chan];
                    #pragma HLS ARRAY_PARTITION variable = entering complete
                    read_pixel<data_T, CONFIG_T>(data, y, x, entering);
                    buffer.slide(entering, x, unit.windows[0]);
                    unit.guard_copies(guard);
                }
                if (ends)
                    unit.neurons.pass(unit.windows, unit.sums, table, biases, pixel, pass, guard, taps, flags);
                if (ends && pass == FEED::passes - 1 && !Layer::Recomputes::value)
                    unit.write(res);
            }
            if (ends && Layer::Recomputes::value) {
                unit.recompute(table, biases, pixel, guard, taps, flags, typename Layer::Recomputes());
                unit.write(res);
            }
            pixel += ends;
        }
    }
}

// A dense layer's input comes and its output goes in packs of any size.
template <class data_T, int N> void read_values(hls::stream<data_T> &stream, typename data_T::value_type *values) {
    #pragma HLS INLINE
    const int pack_size = data_T::size;
ReadPacks:
    for (int first = 0; first < N; first += pack_size) {
        #pragma HLS PIPELINE
        const data_T pack = stream.read();
        for (int i = 0; i < pack_size; i++) {
            #pragma HLS UNROLL
            values[first + i] = pack[i];
        }
    }
}
template <class res_T, int N> void write_values(const typename res_T::value_type *values, hls::stream<res_T> &stream) {
    #pragma HLS INLINE
    const int pack_size = res_T::size;
WritePacks:
    for (int first = 0; first < N; first += pack_size) {
        #pragma HLS PIPELINE
        res_T pack;
        PRAGMA_DATA_PACK(pack)
        for (int i = 0; i < pack_size; i++) {
            #pragma HLS UNROLL
            pack[i] = values[first + i];
        }
        stream.write(pack);
    }
}

// The sum of two operands, pixel by pixel; every channel's adder serves all pixels.
template <class CONFIG_T, int FIRST, int N> struct Adders {
    template <class data1_T, class data2_T, class res_T>
    static void add(const data1_T &data1, const data2_T &data2, res_T &res, unsigned pixel, GuardBits guard,
                    const LayerTaps &taps, Flags &flags) {
        #pragma HLS INLINE
        Adders<CONFIG_T, FIRST, N / 2>::add(data1, data2, res, pixel, guard, taps, flags);
        Adders<CONFIG_T, FIRST + N / 2, N - N / 2>::add(data1, data2, res, pixel, guard, taps, flags);
    }
};
template <class CONFIG_T, int FIRST> struct Adders<CONFIG_T, FIRST, 1> {
    typedef typename CONFIG_T::accum_t accum_t;

    template <class data1_T, class data2_T, class res_T>
    static void add(const data1_T &data1, const data2_T &data2, res_T &res, unsigned pixel, GuardBits guard,
                    const LayerTaps &taps, Flags &flags) {
        #pragma HLS INLINE
        const accum_t total = add_two<CONFIG_T, CONFIG_T::hardened_bits[FIRST]>(
            accum_t(data1[FIRST]), accum_t(data2[FIRST]), pixel, guard, taps.neuron(FIRST), flags);
        res[FIRST] = total;
    }
};

} // namespace codesign

namespace nnet {

template <class data_T, class res_T, class CONFIG_T, class weight_word_T, class bias_word_T,
          class slots_T = codesign::NoUpsets>
void protected_conv(const data_T *data, res_T *res, const weight_word_T *weights, const bias_word_T *biases,
                    codesign::Guard guard, codesign::Flags &flags, const slots_T &slots = slots_T()) {
    #pragma HLS INLINE
    codesign::convolve<data_T, res_T, CONFIG_T, codesign::Feed<CONFIG_T, false>>(data, res, weights, biases, guard,
                                                                                 flags, slots);
}

template <class data_T, class res_T, class CONFIG_T, class weight_word_T, class bias_word_T,
          class slots_T = codesign::NoUpsets>
void protected_conv(hls::stream<data_T> &data, hls::stream<res_T> &res, const weight_word_T *weights,
                    const bias_word_T *biases, codesign::Guard guard, codesign::Flags &flags,
                    const slots_T &slots = slots_T()) {
    #pragma HLS INLINE
    codesign::convolve<data_T, res_T, CONFIG_T, codesign::Feed<CONFIG_T, false>>(data, res, weights, biases, guard,
                                                                                 flags, slots);
}

template <class data_T, class res_T, class CONFIG_T, class weight_word_T, class bias_word_T,
          class slots_T = codesign::NoUpsets>
void protected_depthwise(const data_T *data, res_T *res, const weight_word_T *weights, const bias_word_T *biases,
                         codesign::Guard guard, codesign::Flags &flags, const slots_T &slots = slots_T()) {
    #pragma HLS INLINE
    codesign::convolve<data_T, res_T, CONFIG_T, codesign::Feed<CONFIG_T, true>>(data, res, weights, biases, guard,
                                                                                flags, slots);
}

template <class data_T, class res_T, class CONFIG_T, class weight_word_T, class bias_word_T,
          class slots_T = codesign::NoUpsets>
void protected_depthwise(hls::stream<data_T> &data, hls::stream<res_T> &res, const weight_word_T *weights,
                         const bias_word_T *biases, codesign::Guard guard, codesign::Flags &flags,
                         const slots_T &slots = slots_T()) {
    #pragma HLS INLINE
    codesign::convolve<data_T, res_T, CONFIG_T, codesign::Feed<CONFIG_T, true>>(data, res, weights, biases, guard,
                                                                                flags, slots);
}

template <class data_T, class res_T, class CONFIG_T, class weight_word_T, class bias_word_T,
          class slots_T = codesign::NoUpsets>
void protected_dense(const data_T *data, res_T *res, const weight_word_T *weights, const bias_word_T *biases,
                     codesign::Guard guard, codesign::Flags &flags, const slots_T &slots = slots_T()) {
    #pragma HLS INLINE
    protected_conv<data_T, res_T, CONFIG_T>(data, res, weights, biases, guard, flags, slots);
}

template <class data_T, class res_T, class CONFIG_T, class weight_word_T, class bias_word_T,
          class slots_T = codesign::NoUpsets>
void protected_dense(hls::stream<data_T> &data, hls::stream<res_T> &res, const weight_word_T *weights,
                     const bias_word_T *biases, codesign::Guard guard, codesign::Flags &flags,
                     const slots_T &slots = slots_T()) {
    #pragma HLS INLINE off
    typename data_T::value_type values[CONFIG_T::n_chan];
    #pragma HLS ARRAY_PARTITION variable = values complete
    typename res_T::value_type results[CONFIG_T::n_filt];
    #pragma HLS ARRAY_PARTITION variable = results complete
    codesign::read_values<data_T, CONFIG_T::n_chan>(data, values);
    protected_conv<typename data_T::value_type, typename res_T::value_type, CONFIG_T>(values, results, weights, biases,
                                                                                      guard, flags, slots);
    codesign::write_values<res_T, CONFIG_T::n_filt>(results, res);
}

template <class data1_T, class data2_T, class res_T, class CONFIG_T>
void protected_add(const data1_T *data1, const data2_T *data2, res_T *res, codesign::Guard guard,
                   codesign::Flags &flags) {
    const codesign::LayerTaps taps(CONFIG_T::layer_id);
    const codesign::GuardBits guards = guard;
    flags = codesign::Flags();
    const unsigned channels = CONFIG_T::n_filt;
PixelLoop:
    for (unsigned pixel = 0; pixel < CONFIG_T::out_height * CONFIG_T::out_width; pixel++) {
        #pragma HLS PIPELINE II = 1
        const data1_T *first = data1 + pixel * channels;
        const data2_T *second = data2 + pixel * channels;
        res_T *sums = res + pixel * channels;
        codesign::Adders<CONFIG_T, 0, CONFIG_T::n_filt>::add(first, second, sums, pixel, guards, taps, flags);
    }
}

template <class data1_T, class data2_T, class res_T, class CONFIG_T>
void protected_add(hls::stream<data1_T> &data1, hls::stream<data2_T> &data2, hls::stream<res_T> &res,
                   codesign::Guard guard, codesign::Flags &flags) {
    const codesign::LayerTaps taps(CONFIG_T::layer_id);
    const codesign::GuardBits guards = guard;
    flags = codesign::Flags();
PixelLoop:
    for (unsigned pixel = 0; pixel < CONFIG_T::out_height * CONFIG_T::out_width; pixel++) {
        #pragma HLS PIPELINE II = 1
        const data1_T first = data1.read();
        const data2_T second = data2.read();
        res_T sums;
        PRAGMA_DATA_PACK(sums)
        codesign::Adders<CONFIG_T, 0, CONFIG_T::n_filt>::add(first, second, sums, pixel, guards, taps, flags);
        res.write(sums);
    }
}

} // namespace nnet

#endif
