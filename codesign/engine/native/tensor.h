// One layer's values for all samples, each in the fewest bytes that hold its type.
#ifndef CODESIGN_ENGINE_TENSOR_H_
#define CODESIGN_ENGINE_TENSOR_H_

#include <vector>

#include "lanes.h"

namespace codesign::engine {

// Blocks of 64 samples, in them row by row: both a row of many samples and all rows of a sample lie close together.
class Tensor {
  public:
    static constexpr int BLOCK = 64;

    Tensor() = default;
    Tensor(int rows, int n_samples, const FixedPoint &type);

    static std::size_t bytes_of(int rows, int n_samples, const FixedPoint &type);

    bool empty() const { return data_.empty(); }
    Stored as() const { return as_; }
    std::size_t index(int row, int sample) const {
        return (std::size_t(sample / BLOCK) * std::size_t(rows_) + std::size_t(row)) * BLOCK +
               std::size_t(sample % BLOCK);
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
    int rows_ = 0;
    Stored as_;
    std::vector<unsigned char> data_;
};

inline Stored stored_as(const FixedPoint &type) {
    const int bytes = type.width <= 8 ? 1 : type.width <= 16 ? 2 : type.width <= 32 ? 4 : 8;
    return {bytes, type.is_signed};
}

inline std::size_t Tensor::bytes_of(int rows, int n_samples, const FixedPoint &type) {
    const std::size_t blocks = std::size_t((n_samples + BLOCK - 1) / BLOCK);
    return blocks * BLOCK * std::size_t(rows) * std::size_t(stored_as(type).bytes);
}

inline Tensor::Tensor(int rows, int n_samples, const FixedPoint &type)
    : rows_(rows), as_(stored_as(type)), data_(bytes_of(rows, n_samples, type)) {}

} // namespace codesign::engine

#endif
