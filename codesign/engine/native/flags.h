// What a layer's protection tells of a sample, and what it tells of all samples of a trial.
#ifndef CODESIGN_ENGINE_FLAGS_H_
#define CODESIGN_ENGINE_FLAGS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace codesign::engine {

constexpr std::uint8_t CORRECTED = 1, DETECTED = 2;

// The flags that any layer raises. Most samples raise none, so those that do are listed.
class Flags {
  public:
    explicit Flags(int n_samples = 0) : of_(std::size_t(n_samples), 0) {}

    void clear() {
        for (const std::int32_t sample : raised_)
            of_[std::size_t(sample)] = 0;
        raised_.clear();
        everywhere_ = 0;
    }
    void raise(std::int32_t sample, std::uint8_t flag) {
        std::uint8_t &flags = of_[std::size_t(sample)];
        if (!flags)
            raised_.push_back(sample);
        flags |= flag;
    }
    // A damaged parameter is read in every sample.
    void raise_everywhere(std::uint8_t flags) { everywhere_ |= flags; }

    std::uint8_t of(std::int32_t sample) const { return everywhere_ | of_[std::size_t(sample)]; }
    std::uint8_t everywhere() const { return everywhere_; }
    // Each sample once, in any order, that raised one of its own.
    const std::vector<std::int32_t> &raised() const { return raised_; }

  private:
    std::vector<std::uint8_t> of_;
    std::vector<std::int32_t> raised_;
    std::uint8_t everywhere_ = 0;
};

} // namespace codesign::engine

#endif
