// A unit of neurons that works on one pixel: products, sums, redundancy, result.
//
// Neuron j is sum_k x[k] * w[k][j] + b[j] over K products, in reuse_factor passes of K / reuse_factor multipliers.
// In every pass the running sum (at first the bias) and the pass's products are added by a balanced tree, or one
// after the other where the accumulator saturates. Every neuron has its own number of hardened bits, known to the
// compiler; what these cost stands in codesign_vote.h. The members of CONFIG_T are described in codesign_layers.h.
#ifndef CODESIGN_NEURON_H_
#define CODESIGN_NEURON_H_

#include "codesign_codes.h"
#include "codesign_taps.h"
#include "codesign_vote.h"
#include <type_traits>

namespace codesign {

// TMR: three copies and a voter. DMR: two copies, zero and a flag where they differ. RECOMPUTE: the neuron once
// more, twice, in a unit that the layer's important neurons share, and a voter; see codesign_recompute.h.
enum class Mechanism { TMR, DMR, RECOMPUTE };

// ---------------------------------------------------------------- sums

// Does the type do anything but wrap on overflow?
template <class T> struct Saturates : std::false_type {};
template <int W, int I, ap_q_mode Q, ap_o_mode O, int N>
struct Saturates<ap_fixed<W, I, Q, O, N>> : std::integral_constant<bool, O != AP_WRAP> {};
template <int W, int I, ap_q_mode Q, ap_o_mode O, int N>
struct Saturates<ap_ufixed<W, I, Q, O, N>> : std::integral_constant<bool, O != AP_WRAP> {};

// How two words are added: as the accumulator's type does.
template <class accum_t> struct Saturating {
    template <int A> static Int<A> add(const Int<A> &a, const Int<A> &b) {
        #pragma HLS INLINE
        return bits_of(accum_t(from_bits<accum_t>(a) + from_bits<accum_t>(b)));
    }
};

// The sum of a neuron with H hardened bits.
template <class CONFIG_T, int H> struct SumOf {
    typedef typename CONFIG_T::accum_t accum_t;
    static const bool saturates = Saturates<accum_t>::value;
    // The unit that recomputes keeps whole words: there the neuron itself is an ordinary one.
    static const bool redundant = H > 0 && CONFIG_T::mechanism != Mechanism::RECOMPUTE;
    static const int copies = redundant ? (CONFIG_T::mechanism == Mechanism::DMR ? 2 : 3) : 1;
    static_assert(!saturates || H == 0 || H == accum_t::width, "a saturating accumulator is hardened whole or not");
    typedef typename std::conditional<saturates, Saturating<accum_t>, Wrapping>::type Adder;
    typedef Sum<accum_t::width, redundant ? H : accum_t::width, copies, Adder> type;
};

// Largest power of two below n (n > 1).
constexpr int split(int n, int power = 1) { return 2 * power < n ? split(n, 2 * power) : power; }

// Balanced tree over leaves first .. first + N - 1. Adder k joins leaf k and leaf k + 1.
template <class S, int N> struct Tree {
    template <class Taps> static S sum(const S *leaves, const Taps &taps, int first = 0) {
        #pragma HLS INLINE
        const int left = split(N);
        S total =
            S::add(Tree<S, split(N)>::sum(leaves, taps, first), Tree<S, N - split(N)>::sum(leaves, taps, first + left));
        taps.adder(first + left - 1, total);
        return total;
    }
};
template <class S> struct Tree<S, 1> {
    template <class Taps> static S sum(const S *leaves, const Taps &, int first = 0) {
        #pragma HLS INLINE
        return leaves[first];
    }
};

// One leaf after the other: what saturates is not associative. Adder k joins the sum so far and leaf k + 1.
template <class S, int N> struct Chain {
    template <class Taps> static S sum(const S *leaves, const Taps &taps) {
        #pragma HLS INLINE
        S total = leaves[0];
        for (int k = 0; k < N - 1; k++) {
            #pragma HLS UNROLL
            total = S::add(total, leaves[k + 1]);
            taps.adder(k, total);
        }
        return total;
    }
};

template <bool SATURATES, class S, int N, class Taps> S sum_of(const S *leaves, const Taps &taps) {
    #pragma HLS INLINE
    return std::conditional<SATURATES, Chain<S, N>, Tree<S, N>>::type::sum(leaves, taps);
}

// ---------------------------------------------------------------- products

// How the unit is fed. In a window of kernel x channels values a neuron uses all of them, or its own channel's.
template <class CONFIG_T, bool DEPTHWISE> struct Feed {
    static const unsigned kernel = CONFIG_T::filt_height * CONFIG_T::filt_width;
    static const unsigned window = kernel * CONFIG_T::n_chan;
    static const unsigned products = DEPTHWISE ? kernel : window; // K
    static const unsigned passes = CONFIG_T::reuse_factor;
    static const unsigned multipliers = products / passes;
    static const unsigned pass_weights = multipliers * CONFIG_T::n_filt;
    static_assert(products % passes == 0, "the reuse factor must divide the number of products");
    static_assert(!DEPTHWISE || CONFIG_T::n_chan == CONFIG_T::n_filt, "a depthwise layer has one filter a channel");

    // Copies that multiply for themselves read the window each through its guard.
    static const bool guarded = CONFIG_T::harden_multipliers || CONFIG_T::mechanism == Mechanism::RECOMPUTE;
    static const int windows = guarded ? 3 : 1;

    // Where neuron j finds the operand of its product k.
    static constexpr unsigned operand(unsigned k, unsigned j) { return DEPTHWISE ? k * CONFIG_T::n_chan + j : k; }
};

// The leaves of a neuron's sum, as words of the accumulator.
template <class CONFIG_T, class FEED> struct Leaves {
    typedef typename CONFIG_T::accum_t accum_t;
    typedef typename CONFIG_T::weight_t weight_t;
    typedef typename CONFIG_T::bias_t bias_t;
    typedef Int<accum_t::width> Leaf;

    template <class weights_T, class Taps>
    static weight_t weight(weights_T weights, unsigned k, unsigned j, GuardBits guard, const Taps &taps, Flags &flags) {
        #pragma HLS INLINE
        return Stored<weight_t, CONFIG_T::parameter_code>::read(
            weights, k * CONFIG_T::n_filt + j, FEED::products * CONFIG_T::n_filt, guard, WEIGHT, k, taps, flags);
    }

    template <class word_T, class Taps>
    static Leaf bias(const word_T *biases, unsigned j, GuardBits guard, const Taps &taps, Flags &flags) {
        #pragma HLS INLINE
        return bits_of(accum_t(
            Stored<bias_t, CONFIG_T::parameter_code>::read(biases, j, CONFIG_T::n_filt, guard, BIAS, 0, taps, flags)));
    }

    template <class data_T, class Taps>
    static Leaf product(const data_T &x, const weight_t &w, unsigned position, unsigned replica, const Taps &taps) {
        #pragma HLS INLINE
        typedef typename CONFIG_T::template product<data_T, weight_t> Multiplier;
        return bits_of(accum_t(taps.word(PRODUCT, position, replica, Multiplier::product(x, w))));
    }
};

// ---------------------------------------------------------------- neurons

// One neuron with H hardened bits; `sum` runs on from pass to pass.
template <class CONFIG_T, class FEED, int H> struct Neuron {
    typedef typename CONFIG_T::accum_t accum_t;
    typedef typename CONFIG_T::weight_t weight_t;
    typedef SumOf<CONFIG_T, H> Kind;
    typedef typename Kind::type S;
    typedef Leaves<CONFIG_T, FEED> L;
    static const int A = accum_t::width;
    S sum;

    template <class data_T, class weights_T, class bias_word_T>
    void pass(const data_T (*windows)[FEED::window], weights_T weights, const bias_word_T *biases, unsigned j,
              unsigned pixel, unsigned pass, GuardBits guard, const NeuronTaps &neuron_taps, Flags &flags) {
        #pragma HLS INLINE
        const StepTaps taps = neuron_taps.at(pixel * FEED::passes + pass);
        if (taps.armed())
            advance(windows, weights, biases, j, pass, guard, taps, flags);
        else
            advance(windows, weights, biases, j, pass, guard, NoTaps(), flags);
    }

    accum_t result(unsigned pixel, const NeuronTaps &taps, Flags &flags) const {
        #pragma HLS INLINE
        const accum_t total = from_bits<accum_t>(sum.result(flags));
        return Kind::redundant ? accum_t(taps.at(pixel).word(VOTER, 0, 0, total)) : total;
    }

  private:
    // A constant in logic if it is read at one place only.
    static const bool constants = FEED::passes == 1 && CONFIG_T::parameter_code == Code::PLAIN;
    static const bool own_multipliers = Kind::redundant && CONFIG_T::harden_multipliers;

    template <class data_T, class weights_T, class bias_word_T, class Taps>
    void advance(const data_T (*windows)[FEED::window], weights_T weights, const bias_word_T *biases, unsigned j,
                 unsigned pass, GuardBits guard, const Taps &taps, Flags &flags) {
        #pragma HLS INLINE
        S leaves[FEED::multipliers + 1];
        #pragma HLS ARRAY_PARTITION variable = leaves complete
        leaves[0] = pass == 0 ? load(L::bias(biases, j, guard, taps, flags), guard_of(biases[j], guard)) : sum;
        for (unsigned m = 0; m < FEED::multipliers; m++) {
            #pragma HLS UNROLL
            const unsigned k = pass * FEED::multipliers + m;
            const weight_t weight = L::weight(weights, k, j, guard, taps, flags);
            const GuardBits leaf_guard = guard_of(weights[k * CONFIG_T::n_filt + j], guard);
            leaves[m + 1] = product(windows, FEED::operand(k, j), weight, leaf_guard, m, taps,
                                    std::integral_constant<bool, own_multipliers>());
        }
        sum = sum_of<Kind::saturates, S, FEED::multipliers + 1>(leaves, taps);
    }

    // One multiplier for all copies.
    template <class data_T, class Taps>
    static S product(const data_T (*windows)[FEED::window], unsigned i, const weight_t &w, GuardBits guard, unsigned m,
                     const Taps &taps, std::false_type) {
        #pragma HLS INLINE
        return load(L::product(windows[0][i], w, m, 0, taps), guard);
    }

    // One a copy. The guards of all but the first stand before the multiplier; the first one's product also is the
    // shared low part, which must stay right when a guard is raised.
    template <class data_T, class Taps>
    static S product(const data_T (*windows)[FEED::window], unsigned i, const weight_t &w, GuardBits guard, unsigned m,
                     const Taps &taps, std::true_type) {
        #pragma HLS INLINE
        Int<A> leaves[Kind::copies];
        #pragma HLS ARRAY_PARTITION variable = leaves complete
        for (unsigned r = 0; r < unsigned(Kind::copies); r++) {
            #pragma HLS UNROLL
            leaves[r] = L::product(windows[r][i], w, m, r, taps);
        }
        return S::load(leaves, guard & GuardBits(1));
    }

    // An operand that all copies share. Where the other copies are recomputed, copy 0 is a plain sum; its guard
    // stands in the lowest of the bits that are voted on.
    static S load(Int<A> value, GuardBits guard) {
        #pragma HLS INLINE
        if (CONFIG_T::mechanism == Mechanism::RECOMPUTE && H > 0)
            value[A - H] = bool(value[A - H]) ^ bool(guard[0]);
        return S::load(value, guard);
    }

    // A leaf that is always zero needs no adder in any copy; a guard on it would make one.
    template <class word_T> static GuardBits guard_of(word_T word, GuardBits guard) {
        #pragma HLS INLINE
        return constants && word == 0 ? GuardBits(0) : guard;
    }
};

// A neuron of an addition: two operands that vary, nothing stored.
template <class CONFIG_T, int H>
typename CONFIG_T::accum_t add_two(const typename CONFIG_T::accum_t &a, const typename CONFIG_T::accum_t &b,
                                   unsigned pixel, GuardBits guard, const NeuronTaps &neuron_taps, Flags &flags) {
    #pragma HLS INLINE
    typedef typename CONFIG_T::accum_t accum_t;
    typedef typename SumOf<CONFIG_T, H>::type S;
    const StepTaps taps = neuron_taps.at(pixel);
    S sum = S::add(S::load(bits_of(a), guard), S::load(bits_of(b), guard));
    taps.adder(0, sum);
    const accum_t total = from_bits<accum_t>(sum.result(flags));
    return H > 0 ? accum_t(taps.word(VOTER, 0, 0, total)) : total;
}

// Neurons FIRST .. FIRST + N - 1, each of a type of its own.
template <class CONFIG_T, class FEED, int FIRST, int N> struct Neurons {
    Neurons<CONFIG_T, FEED, FIRST, N / 2> left;
    Neurons<CONFIG_T, FEED, FIRST + N / 2, N - N / 2> right;

    // After the last pass the sums of the pixel stand in `sums`.
    template <class data_T, class weights_T, class bias_word_T>
    void pass(const data_T (*windows)[FEED::window], typename CONFIG_T::accum_t *sums, weights_T weights,
              const bias_word_T *biases, unsigned pixel, unsigned pass, GuardBits guard, const LayerTaps &taps,
              Flags &flags) {
        #pragma HLS INLINE
        left.pass(windows, sums, weights, biases, pixel, pass, guard, taps, flags);
        right.pass(windows, sums, weights, biases, pixel, pass, guard, taps, flags);
    }
};
template <class CONFIG_T, class FEED, int FIRST> struct Neurons<CONFIG_T, FEED, FIRST, 1> {
    Neuron<CONFIG_T, FEED, CONFIG_T::hardened_bits[FIRST]> neuron;

    template <class data_T, class weights_T, class bias_word_T>
    void pass(const data_T (*windows)[FEED::window], typename CONFIG_T::accum_t *sums, weights_T weights,
              const bias_word_T *biases, unsigned pixel, unsigned pass, GuardBits guard, const LayerTaps &taps,
              Flags &flags) {
        #pragma HLS INLINE
        const NeuronTaps own = taps.neuron(FIRST);
        neuron.pass(windows, weights, biases, FIRST, pixel, pass, guard, own, flags);
        if (pass == FEED::passes - 1)
            sums[FIRST] = neuron.result(pixel, own, flags);
    }
};

} // namespace codesign

#endif
