// One layer's values for all samples, each in the fewest bytes that hold its type.
#ifndef CODESIGN_ENGINE_TENSOR_H_
#define CODESIGN_ENGINE_TENSOR_H_

#include <vector>

#include "lanes.h"

namespace codesign::engine {

// Blocks of some samples, in them row by row: both a row of many samples and all rows of a sample lie close together.
class Tensor {
  public:
    // Of samples; a power of two.
    static constexpr int LARGEST_BLOCK = 64;

    Tensor() = default;
    Tensor(int rows, int n_samples, const FixedPoint &type, int block);

    static std::size_t bytes_of(int rows, int n_samples, const FixedPoint &type);

    bool empty() const { return data_.empty(); }
    Stored as() const { return as_; }
    int block() const { return mask_ + 1; } // also how far the next row of a sample is
    std::size_t index(int row, int sample) const {
        return (std::size_t(sample >> shift_) * std::size_t(rows_) + std::size_t(row)) << shift_ |
               std::size_t(sample & mask_);
    }
    void *address(std::size_t index) { return data_.data() + index * std::size_t(as_.bytes); }
    const void *address(std::size_t index) const { return data_.data() + index * std::size_t(as_.bytes); }

    // Calls `body` with a pointer to the first value, of the type that it is stored as.
    template <class Body> auto visit(Body body) const {
        const void *first = data_.data();
        switch (as_.bytes) {
        case 1:
            return as_.is_signed ? body(static_cast<const std::int8_t *>(first))
                                 : body(static_cast<const std::uint8_t *>(first));
        case 2:
            return as_.is_signed ? body(static_cast<const std::int16_t *>(first))
                                 : body(static_cast<const std::uint16_t *>(first));
        case 4:
            return as_.is_signed ? body(static_cast<const std::int32_t *>(first))
                                 : body(static_cast<const std::uint32_t *>(first));
        default:
            return body(static_cast<const std::int64_t *>(first));
        }
    }

    Int at(int row, int sample) const {
        const std::size_t k = index(row, sample);
        return visit([&](const auto *values) { return Int(values[k]); });
    }

  private:
    int rows_ = 0, mask_ = 0, shift_ = 0;
    Stored as_;
    std::vector<unsigned char> data_;
};

inline Stored stored_as(const FixedPoint &type) {
    const int bytes = type.width <= 8 ? 1 : type.width <= 16 ? 2 : type.width <= 32 ? 4 : 8;
    return {bytes, type.is_signed};
}

inline std::size_t Tensor::bytes_of(int rows, int n_samples, const FixedPoint &type) {
    const std::size_t blocks = std::size_t((n_samples + LARGEST_BLOCK - 1) / LARGEST_BLOCK);
    return blocks * LARGEST_BLOCK * std::size_t(rows) * std::size_t(stored_as(type).bytes);
}

inline Tensor::Tensor(int rows, int n_samples, const FixedPoint &type, int block)
    : rows_(rows), mask_(block - 1), as_(stored_as(type)), data_(bytes_of(rows, n_samples, type)) {
    while (1 << shift_ < block)
        ++shift_;
}

} // namespace codesign::engine

#endif
