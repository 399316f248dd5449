#include "codes.h"

namespace codesign::engine {

namespace {

Word parity(Word word) { return Word(__builtin_parityll(word)); }

Word low_bits(int width) { return (Word(1) << width) - 1; }

// Hamming check bits of so many bits of data, without the parity of the whole.
int check_bits(int width) {
    int count = 2;
    while ((1 << count) < width + count + 1)
        ++count;
    return count;
}

// The code position of each data bit: the numbers from three that are no powers of two.
class Positions {
  public:
    int next() {
        while ((place_ & (place_ - 1)) == 0)
            ++place_;
        return place_++;
    }

  private:
    int place_ = 3;
};

Word check_mask(int width, int check) {
    Positions positions;
    Word mask = 0;
    for (int bit = 0; bit < width; ++bit)
        mask |= Word(positions.next() >> check & 1) << bit;
    return mask;
}

Word encode_ecc(Word word, int width) {
    const int checks = check_bits(width);
    const Word data = word;
    for (int check = 0; check < checks; ++check)
        word |= parity(data & check_mask(width, check)) << (width + check);
    return word | parity(word) << (width + checks);
}

ReadWord decode_ecc(Word word, const FixedPoint &of) {
    const int checks = check_bits(of.width);
    int syndrome = 0;
    for (int check = 0; check < checks; ++check) {
        const Word stored = word >> (of.width + check) & 1;
        syndrome |= int(parity(word & check_mask(of.width, check)) ^ stored) << check;
    }
    const bool single = parity(word) != 0;
    if (!single && syndrome)
        return {0, DETECTED};
    if (!single)
        return {wrap(Int(word), of), 0};
    if ((syndrome & (syndrome - 1)) == 0)
        return {wrap(Int(word), of), CORRECTED}; // a check bit, or the parity
    Positions positions;
    for (int bit = 0; bit < of.width; ++bit)
        if (positions.next() == syndrome)
            return {wrap(Int(word ^ Word(1) << bit), of), CORRECTED};
    return {0, DETECTED}; // it points nowhere: found, and not corrected
}

} // namespace

int stored_copies(Code code) { return code == Code::TMR ? REPLICAS : 1; }

int stored_width(int width, Code code) {
    if (code == Code::PARITY)
        return width + 1;
    return code == Code::ECC ? width + check_bits(width) + 1 : width;
}

ReadWord read_damaged(Int raw, const FixedPoint &of, Code code, const Word masks[REPLICAS]) {
    const Word word = Word(raw) & low_bits(of.width);
    switch (code) {
    case Code::TMR: {
        const Word a = word ^ masks[0], b = word ^ masks[1], c = word ^ masks[2];
        const bool differ = a != b || a != c;
        return {wrap(Int((a & b) | (a & c) | (b & c)), of), differ ? CORRECTED : std::uint8_t(0)};
    }
    case Code::PARITY: {
        const Word stored = (word | parity(word) << of.width) ^ masks[0];
        if (parity(stored))
            return {0, DETECTED};
        return {wrap(Int(stored), of), 0};
    }
    case Code::ECC:
        return decode_ecc(encode_ecc(word, of.width) ^ masks[0], of);
    case Code::NONE:
        break;
    }
    return {wrap(Int(word ^ masks[0]), of), 0};
}

} // namespace codesign::engine
