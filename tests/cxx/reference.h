// Plain-integer model of a protected layer under faults, written down as the definition reads: every copy is a whole
// word, of which the bits below the cut are copy 0's; codes are decoded by trying every single bit. Nothing of the
// kernels is used but their types. Rounding is truncation; overflow wraps or saturates.
#ifndef REFERENCE_H_
#define REFERENCE_H_

#include "bench.h"
#include "codesign_layers.h"
#include <vector>

namespace reference {

using codesign::Code;
using codesign::Fault;
using codesign::Flags;
using codesign::Mechanism;

inline int64_t wrap(int64_t value, int width) {
    const int64_t low = value & ((int64_t(1) << width) - 1);
    return low >> (width - 1) ? low - (int64_t(1) << width) : low;
}

inline int64_t saturate(int64_t value, int width) {
    const int64_t top = (int64_t(1) << (width - 1)) - 1;
    return value > top ? top : value < -top - 1 ? -top - 1 : value;
}

// A raw integer with `frac` fractional bits as one of the type.
template <class T> int64_t cast(int64_t raw, int frac) {
    const int shift = frac - (T::width - T::iwidth);
    const int64_t scaled = shift > 0 ? raw >> shift : raw * (int64_t(1) << -shift);
    return codesign::Saturates<T>::value ? saturate(scaled, T::width) : wrap(scaled, T::width);
}

inline bool odd(int64_t word) {
    bool parity = false;
    for (; word; word &= word - 1)
        parity = !parity;
    return parity;
}

// The stored word of `width` data bits.
inline int64_t encode(Code code, int64_t data, int width) {
    data &= (int64_t(1) << width) - 1;
    if (code == Code::PARITY)
        return data | int64_t(odd(data)) << width;
    if (code != Code::ECC)
        return data;
    int checks = 0;
    while ((1 << checks) < width + checks + 1)
        checks++;
    int64_t syndrome = 0;
    for (int bit = 0, position = 1; bit < width; position++) {
        if ((position & (position - 1)) == 0)
            continue;
        if (data >> bit & 1)
            syndrome ^= position;
        bit++;
    }
    const int64_t word = data | syndrome << width;
    return word | int64_t(odd(word)) << (width + checks);
}

inline int stored_width(Code code, int width) {
    int bits = width;
    while (code == Code::ECC && (1 << (bits - width)) < bits + 1)
        bits++;
    return code == Code::ECC ? bits + 1 : width + (code == Code::PARITY);
}

// The data bits that a stored word is taken for.
inline int64_t decode(Code code, int64_t word, int width, Flags &flags) {
    const int64_t data = word & ((int64_t(1) << width) - 1);
    if (encode(code, data, width) == word)
        return data;
    for (int bit = 0; code == Code::ECC && bit < stored_width(code, width); bit++) {
        const int64_t other = word ^ int64_t(1) << bit, candidate = other & ((int64_t(1) << width) - 1);
        if (encode(code, candidate, width) == other) {
            flags.corrected = true;
            return candidate;
        }
    }
    flags.detected = true;
    return 0;
}

// One layer under one list of faults; samples are not looked at.
template <class CONFIG_T, bool DEPTHWISE, class data_T> class Layer {
    typedef CONFIG_T C;
    typedef typename C::accum_t accum_t;
    typedef typename C::weight_t weight_t;
    typedef typename C::bias_t bias_t;
    static const int A = accum_t::width;
    static const int K = int(C::filt_height * C::filt_width) * (DEPTHWISE ? 1 : int(C::n_chan));

  public:
    Layer(const std::vector<int64_t> &weights, const std::vector<int64_t> &biases, const std::vector<Fault> &faults)
        : hits(faults.size(), 0), weights_(weights), biases_(biases), faults_(faults) {}

    // Parameters are data bits, shapes (K, n_filt) and (n_filt). Results are casts to res_T.
    template <class res_T> std::vector<int64_t> run(const std::vector<int64_t> &data, Flags &flags) {
        const int pixels = C::out_height * C::out_width, neurons = C::n_filt;
        std::vector<int64_t> results(pixels * neurons);
        for (int pixel = 0; pixel < pixels; pixel++)
            for (int j = 0; j < neurons; j++)
                results[pixel * neurons + j] = cast<res_T>(neuron(data, pixel, j, hardened(j), flags), accum_frac());
        return results;
    }

    std::vector<int64_t> hits;

  private:
    typedef std::vector<int64_t> Words;

    static int accum_frac() { return accum_t::width - accum_t::iwidth; }

    static int hardened(int j) {
        static const std::vector<int> bits = listed<0>(std::vector<int>());
        return bits[j];
    }
    template <int J>
    static typename std::enable_if<J == int(C::n_filt), std::vector<int>>::type listed(std::vector<int> bits) {
        return bits;
    }
    template <int J>
    static typename std::enable_if<(J < int(C::n_filt)), std::vector<int>>::type listed(std::vector<int> bits) {
        const int hardened_bits = C::hardened_bits[J];
        bits.push_back(hardened_bits);
        return listed<J + 1>(bits);
    }

    // Flips of a word at a place; `replica` -1 takes any.
    int64_t flips(int target, int j, int position, int replica, int step) {
        int64_t mask = 0;
        for (std::size_t k = 0; k < faults_.size(); k++) {
            const Fault &f = faults_[k];
            if (f.target == target && f.neuron == j && f.position == position && (f.step == -1 || f.step == step) &&
                (replica == -1 || f.replica == replica)) {
                mask ^= int64_t(1) << f.bit;
                hits[k]++;
            }
        }
        return mask;
    }

    int64_t stored(const std::vector<int64_t> &table, int index, int width, int target, int j, int position,
                   Flags &flags) {
        int64_t words[3];
        const bool triple = C::parameter_code == Code::TRIPLE;
        for (int r = 0; r < (triple ? 3 : 1); r++)
            words[r] = encode(C::parameter_code, table[index], width) ^ flips(target, j, position, r, -1);
        if (!triple)
            return wrap(decode(C::parameter_code, words[0], width, flags), width);
        flags.corrected |= words[0] != words[1] || words[0] != words[2];
        return wrap((words[0] & words[1]) | (words[0] & words[2]) | (words[1] & words[2]), width);
    }

    int64_t bias(int j, Flags &flags) {
        return cast<accum_t>(stored(biases_, j, bias_t::width, codesign::BIAS, j, 0, flags),
                             bias_t::width - bias_t::iwidth);
    }

    int64_t operand(const std::vector<int64_t> &data, int pixel, int j, int k) const {
        const int channels = DEPTHWISE ? 1 : int(C::n_chan);
        const int channel = DEPTHWISE ? j : k % channels, tap = k / channels;
        const int y = pixel / int(C::out_width) * int(C::stride_height) - int(C::pad_top) + tap / int(C::filt_width);
        const int x = pixel % int(C::out_width) * int(C::stride_width) - int(C::pad_left) + tap % int(C::filt_width);
        if (y < 0 || y >= int(C::in_height) || x < 0 || x >= int(C::in_width))
            return 0;
        return data[(y * int(C::in_width) + x) * int(C::n_chan) + channel];
    }

    // The product of multiplier m as leaf of a sum; `replica` of the multiplier.
    int64_t product(int64_t x, int64_t w, int j, int m, int replica, int step) {
        const int width = data_T::width + weight_t::width;
        const int64_t raw = wrap((x * w) ^ flips(codesign::PRODUCT, j, m, replica, step), width);
        return cast<accum_t>(raw, data_T::width - data_T::iwidth + weight_t::width - weight_t::iwidth);
    }

    int64_t neuron(const std::vector<int64_t> &data, int pixel, int j, int h, Flags &flags) {
        const bool recompute = C::mechanism == Mechanism::RECOMPUTE;
        const int copies = h == 0 || recompute ? 1 : C::mechanism == Mechanism::DMR ? 2 : 3;
        const int passes = C::reuse_factor, multipliers = K / passes;
        Words sums(copies, bias(j, flags));
        for (int pass = 0; pass < passes; pass++) {
            const int step = pixel * passes + pass;
            std::vector<Words> leaves(1, sums);
            for (int m = 0; m < multipliers; m++) {
                const int k = pass * multipliers + m;
                const int64_t x = operand(data, pixel, j, k);
                const int64_t w = stored(weights_, k * C::n_filt + j, weight_t::width, codesign::WEIGHT, j, k, flags);
                Words leaf(copies);
                for (int r = 0; r < copies; r++)
                    leaf[r] = r > 0 && !C::harden_multipliers ? leaf[0] : product(x, w, j, m, r, step);
                leaves.push_back(share_low(leaf, A - h));
            }
            sums = sum(leaves, j, A - h, step);
        }
        if (recompute && h > 0)
            for (int copy = 1; copy <= 2; copy++)
                sums.push_back(recomputed(data, pixel, j, copy, flags));
        const int64_t total = resolve(sums, h, flags);
        return h > 0 ? wrap(total ^ flips(codesign::VOTER, j, 0, 0, pixel), A) : total;
    }

    // The bits below the cut are copy 0's.
    static Words share_low(Words words, int cut) {
        const int64_t low = (int64_t(1) << cut) - 1;
        for (std::size_t r = 1; r < words.size(); r++)
            words[r] = (words[r] & ~low) | (words[0] & low);
        return words;
    }

    static Words added(const Words &a, const Words &b) {
        Words total(a.size());
        for (std::size_t r = 0; r < a.size(); r++)
            total[r] = codesign::Saturates<accum_t>::value ? saturate(a[r] + b[r], A) : wrap(a[r] + b[r], A);
        return total;
    }

    Words flipped(Words words, int j, int position, int cut, int step) {
        const int64_t low = (int64_t(1) << cut) - 1;
        const bool one = words.size() == 1;
        for (int r = int(words.size()) - 1; r >= 0; r--) {
            for (std::size_t k = 0; k < faults_.size(); k++) {
                const Fault &f = faults_[k];
                const bool there = f.target == codesign::ACCUMULATOR && f.neuron == j && f.position == position &&
                                   (f.step == -1 || f.step == step) && f.replica == r;
                if (there && (one || r == 0 || f.bit >= cut)) {
                    words[r] = wrap(words[r] ^ int64_t(1) << f.bit, A);
                    hits[k]++;
                }
            }
        }
        for (std::size_t r = 1; r < words.size(); r++)
            words[r] = wrap((words[r] & ~low) | (words[0] & low), A);
        return words;
    }

    Words sum(const std::vector<Words> &leaves, int j, int cut, int step) {
        if (!codesign::Saturates<accum_t>::value)
            return tree(leaves, 0, int(leaves.size()), j, cut, step);
        Words total = leaves[0];
        for (std::size_t m = 1; m < leaves.size(); m++)
            total = flipped(added(total, leaves[m]), j, int(m) - 1, cut, step);
        return total;
    }

    Words tree(const std::vector<Words> &leaves, int first, int count, int j, int cut, int step) {
        if (count == 1)
            return leaves[first];
        int left = 1;
        while (2 * left < count)
            left *= 2;
        const Words a = tree(leaves, first, left, j, cut, step);
        const Words b = tree(leaves, first + left, count - left, j, cut, step);
        return flipped(added(a, b), j, first + left - 1, cut, step);
    }

    // A copy that the shared unit computes, dot_size products a pass; the unit's own faults strike both copies.
    int64_t recomputed(const std::vector<int64_t> &data, int pixel, int j, int copy, Flags &flags) {
        const int multipliers = C::dot_size, passes = (K + multipliers - 1) / multipliers;
        int64_t total = bias(j, flags);
        for (int pass = 0; pass < passes; pass++) {
            const int step = pixel * passes + pass;
            Words leaves(1, total);
            for (int m = 0; m < multipliers; m++) {
                const int k = pass * multipliers + m;
                int64_t x = 0, w = 0;
                if (k < K) {
                    x = operand(data, pixel, j, k);
                    w = stored(weights_, k * C::n_filt + j, weight_t::width, codesign::WEIGHT, j, k, flags);
                }
                const int width = data_T::width + weight_t::width;
                const int64_t stuck = flips(codesign::PRODUCT, codesign::SHARED_UNIT, m, -1, step);
                const int64_t own = flips(codesign::PRODUCT, j, m, copy, step);
                leaves.push_back(cast<accum_t>(wrap((x * w) ^ own ^ stuck, width),
                                               data_T::width - data_T::iwidth + weight_t::width - weight_t::iwidth));
            }
            total = unit_tree(leaves, 0, multipliers + 1, j, copy, step);
        }
        return total;
    }

    int64_t unit_tree(const Words &leaves, int first, int count, int j, int copy, int step) {
        if (count == 1)
            return leaves[first];
        int left = 1;
        while (2 * left < count)
            left *= 2;
        const int64_t a = unit_tree(leaves, first, left, j, copy, step);
        const int64_t b = unit_tree(leaves, first + left, count - left, j, copy, step);
        const int64_t stuck = flips(codesign::ACCUMULATOR, codesign::SHARED_UNIT, first + left - 1, -1, step);
        return wrap((a + b) ^ stuck ^ flips(codesign::ACCUMULATOR, j, first + left - 1, copy, step), A);
    }

    static int64_t resolve(const Words &sums, int h, Flags &flags) {
        if (sums.size() == 1)
            return sums[0];
        const int64_t low = (int64_t(1) << (A - h)) - 1;
        if (sums.size() == 2) {
            const bool differ = (sums[0] & ~low) != (sums[1] & ~low);
            flags.detected |= differ;
            return differ ? 0 : sums[0];
        }
        const int64_t a = sums[0] & ~low, b = sums[1] & ~low, c = sums[2] & ~low;
        flags.corrected |= a != b || a != c;
        return wrap((a & b) | (a & c) | (b & c) | (sums[0] & low), A);
    }

    const std::vector<int64_t> weights_, biases_;
    const std::vector<Fault> faults_;
};

} // namespace reference

#endif
