// Plain-integer stand-ins for ap_int and ap_fixed: what an optimiser sees when no member is volatile.
// Only what the kernels use, for sums of at most 31 bits.
#ifndef PLAIN_AP_INT_H_
#define PLAIN_AP_INT_H_

enum ap_q_mode { AP_RND, AP_RND_ZERO, AP_RND_MIN_INF, AP_RND_INF, AP_RND_CONV, AP_TRN, AP_TRN_ZERO };
enum ap_o_mode { AP_SAT, AP_SAT_ZERO, AP_SAT_SYM, AP_WRAP, AP_WRAP_SM };

struct Bit {
    int &word;
    int index;
    operator bool() const { return (word >> index) & 1; }
    void operator=(bool value) { word = (word & ~(1 << index)) | (int(value) << index); }
};

// All bits of a number, as range(width - 1, 0) gives them.
struct Bits {
    int &word;
    operator int() const { return word; }
    void operator=(int bits) { word = bits; }
};

template <int W, bool SIGNED> struct Plain {
    static const int width = W;
    int word;
    template <class T = int> Plain(T given = 0) : word(wrap(int(given))) {}
    operator int() const { return word; }
    unsigned to_uint() const { return unsigned(word); }
    Bit operator[](int index) { return Bit{word, index}; }
    bool operator[](int index) const { return (word >> index) & 1; }

  private:
    static int wrap(int bits) {
        return SIGNED ? int(unsigned(bits) << (32 - W)) >> (32 - W) : bits & int((1u << W) - 1);
    }
};
template <int W> using ap_int = Plain<W, true>;
template <int W> using ap_uint = Plain<W, false>;

template <int W, int I, ap_q_mode Q = AP_TRN, ap_o_mode O = AP_WRAP, int N = 0> struct ap_fixed {
    static const int width = W;
    int word;
    ap_fixed(int whole = 0) : word(whole << (W - I)) {}
    template <int W2, int I2> ap_fixed(const ap_fixed<W2, I2> &other) : word(scaled(other.word, (W - I) - (W2 - I2))) {}
    Bit operator[](int index) { return Bit{word, index}; }
    Bits range(int, int) { return Bits{word}; }
    int range(int, int) const { return word; }

  private:
    static int scaled(int bits, int shift) { return shift < 0 ? bits >> -shift : bits << shift; }
};
template <int W, int I, ap_q_mode Q = AP_TRN, ap_o_mode O = AP_WRAP, int N = 0> struct ap_ufixed;

#endif
