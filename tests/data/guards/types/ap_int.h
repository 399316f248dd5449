// Plain-integer stand-ins for ap_int and ap_fixed: what an optimiser sees when no member is volatile.
// Only what the kernels use, for sums of at most 31 bits.
#ifndef PLAIN_AP_INT_H_
#define PLAIN_AP_INT_H_

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

template <int W> struct ap_int {
    int word;
    template <class T = int> ap_int(T given = 0) : word(int(unsigned(int(given)) << (32 - W)) >> (32 - W)) {}
    operator int() const { return word; }
    Bit operator[](int index) { return Bit{word, index}; }
    int range(int, int) const { return word; }
};

template <int W> struct ap_uint {
    int word;
    template <class T = int> ap_uint(T given = 0) : word(int(given) & int((1u << W) - 1)) {}
    operator int() const { return word; }
    Bit operator[](int index) { return Bit{word, index}; }
    bool operator[](int index) const { return (word >> index) & 1; }
};

template <int W, int I> struct ap_fixed {
    static const int width = W;
    int word;
    ap_fixed() : word(0) {}
    template <int W2, int I2> ap_fixed(const ap_fixed<W2, I2> &other) : word(other.word << (W - I - W2 + I2)) {}
    Bits range(int, int) { return Bits{word}; }
};

#endif
