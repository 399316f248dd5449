// A block of the fast simulator: a layer that computes sums and the elementwise layers behind it, or a max pooling.
#ifndef CODESIGN_ENGINE_BLOCK_H_
#define CODESIGN_ENGINE_BLOCK_H_

#include <array>
#include <new>
#include <vector>

#include "convolution.h"
#include "kernels.h"
#include "model.h"

namespace codesign::engine {

constexpr int LANES = 16; // sums of a vector, to which neurons are padded
constexpr int LINE = 64;  // bytes, to which rows are padded

// Vectors that begin at a cache line.
template <class T> struct LineAllocator {
    using value_type = T;
    static constexpr std::align_val_t ALIGNMENT{LINE};
    LineAllocator() = default;
    template <class U> LineAllocator(const LineAllocator<U> &) {}
    T *allocate(std::size_t n) { return static_cast<T *>(::operator new(n * sizeof(T), ALIGNMENT)); }
    void deallocate(T *at, std::size_t) { ::operator delete(at, ALIGNMENT); }
    bool operator==(const LineAllocator &) const { return true; }
    bool operator!=(const LineAllocator &) const { return false; }
};
template <class T> using Lines = std::vector<T, LineAllocator<T>>;
using Bytes = Lines<std::uint8_t>;

inline int rounded_up(int number, int to) { return (number + to - 1) / to * to; }

// How raw integers of a type of at most 8 bits are stored: signed ones with an offset.
inline int offset_of(const FixedPoint &type) { return type.is_signed ? 128 : 0; }

// Parameters in the orders that the kernels want.
struct PackedParameters {
    Lines<std::int8_t> packed;    // (k4, n_pad, 4)
    Lines<std::int8_t> by_neuron; // (neurons, k_pad)
    Lines<std::int32_t> start;    // (n_pad,): biases, less what the offset of the operands adds
    std::vector<Int> biases;      // as they enter the sums
};

// What happens to a neuron's sum: the layer's own cast to its result, then elementwise layers.
class Chain {
  public:
    void append(int index, const Layer &layer);
    bool has(int index) const { return stage(index) >= 0; }
    int stage(int index) const;
    int size() const { return int(layers_.size()); }
    // `masks`, if given, are the bits inverted in the registers behind each stage.
    Int leave(Int sum, const Int *masks = nullptr) const;
    const FixedPoint &result() const { return layers_.back()->result; }
    // No sum is changed.
    bool is_identity() const;
    // How the whole chain is done by vectors: false if it has to be done by leave().
    bool as_requantise(Requantise &how) const;

  private:
    std::vector<int> indices_;
    std::vector<const Layer *> layers_;
};

struct Block {
    const Layer *layer = nullptr;
    int index = 0; // of the layer
    bool pools = false;
    Chain chain; // of a layer that computes

    int n_in = 0, in_stride = 0;   // bytes of a sample that enter
    int n_out = 0, out_stride = 0; // bytes of a sample that leave
    int pixels = 1, neurons = 0, n_pad = 0;
    int fan_in = 0, k4 = 0, k_pad = 0; // operands of a row; k_pad bytes can be read
    int in_offset = 0, out_offset = 0;
    bool last = false;
    bool keeps_sums = false; // of the fault-free run, of a dense block

    PackedParameters parameters;
    Lines<std::int8_t> by_input;        // (k_pad, n_pad), for updates of sums
    std::vector<Run> runs;              // the operands of every pixel, k_pad bytes apart, of a convolution
    std::vector<std::size_t> first_run; // of each pixel, and the end
    Bytes padding;                      // what stands for an absent pixel
    Convolution convolution;
    std::vector<std::uint64_t> span_masks; // products that each adder sums, where they are at most 64
    Requantise requantise;
    bool vectors = false; // requantise is the whole chain

    Bytes leaving;            // fault-free, (n_samples, out_stride)
    Lines<std::int32_t> sums; // fault-free, (n_samples, n_pad), where they are kept
    // Then also the same column by column: (n_in, n_samples), (neurons, n_samples) and (n_out, n_samples), each
    // column of `column_stride` entries.
    int column_stride = 0;
    Bytes entering_columns, leaving_columns;
    Lines<std::int32_t> sum_columns;

    // Adders exist once and operands are not negative, so that the kernels know what a struck one does.
    bool plain_adders() const;
    bool dense() const { return !pools && !layer->window.exists(); }
    // Operands of one row from a sample's bytes: the bytes themselves, or gathered into `buffer`, k_pad bytes; 64 more
    // behind them may be written.
    const std::uint8_t *operands(const Kernels &kernels, const std::uint8_t *sample, int pixel,
                                 std::uint8_t *buffer) const;
    // The byte that a sum becomes; `masks` as in Chain::leave.
    std::uint8_t byte_of(Int sum, const Int *masks = nullptr) const {
        return std::uint8_t(chain.leave(sum, masks) + out_offset);
    }
    // A sum as it is kept, brought into the accumulator's range.
    Int in_range(std::int32_t sum) const { return wrap(sum, layer->accumulator); }
    // Bytes of whole rows of sums (n_rows, n_pad), each `neurons` bytes wide, `stride` apart.
    void leave(const Kernels &kernels, const std::int32_t *sums, int n_rows, std::uint8_t *bytes, int stride) const;
};

// A block for a layer, with its parameters packed.
Block sums_block(const Layer &layer, int index, int in_stride);
Block pool_block(const Layer &layer, int index, int in_stride);

// What a changed weight or bias does to packed parameters.
void set_weight(const Block &block, int k, int neuron, Int before, Int after, PackedParameters &parameters);
void set_bias(const Block &block, int neuron, Int before, Int after, PackedParameters &parameters);

} // namespace codesign::engine

#endif
