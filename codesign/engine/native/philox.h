// Philox 4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), in NumPy's order.
#ifndef CODESIGN_ENGINE_PHILOX_H_
#define CODESIGN_ENGINE_PHILOX_H_

#include <array>
#include <cstdint>

namespace codesign::engine {

// One stream of 64-bit numbers: key (seed, trial); counter word 0 counts blocks from one, word 1 is the stream.
class Philox {
  public:
    Philox(std::uint64_t seed, std::uint64_t trial, std::uint64_t stream)
        : seed_(seed), trial_(trial), stream_(stream) {}

    std::uint64_t next() {
        if (left_ == 0) {
            block(buffer_.data());
            left_ = BLOCK;
        }
        return buffer_[std::size_t(BLOCK - left_--)];
    }

    // The next four numbers; for streams that are read block by block only.
    void block(std::uint64_t *numbers) {
        std::uint64_t c0 = ++count_, c1 = stream_, c2 = 0, c3 = 0, k0 = seed_, k1 = trial_;
        for (int round = 0; round < ROUNDS; ++round) {
            const unsigned __int128 even = static_cast<unsigned __int128>(MULTIPLIER_0) * c0;
            const unsigned __int128 odd = static_cast<unsigned __int128>(MULTIPLIER_1) * c2;
            c0 = std::uint64_t(odd >> 64) ^ c1 ^ k0;
            c2 = std::uint64_t(even >> 64) ^ c3 ^ k1;
            c1 = std::uint64_t(odd);
            c3 = std::uint64_t(even);
            k0 += WEYL_0;
            k1 += WEYL_1;
        }
        numbers[0] = c0;
        numbers[1] = c1;
        numbers[2] = c2;
        numbers[3] = c3;
    }

    static constexpr int BLOCK = 4;

  private:
    static constexpr int ROUNDS = 10;
    static constexpr std::uint64_t MULTIPLIER_0 = 0xD2E7470EE14C6C93u, MULTIPLIER_1 = 0xCA5A826395121157u;
    static constexpr std::uint64_t WEYL_0 = 0x9E3779B97F4A7C15u, WEYL_1 = 0xBB67AE8584CAA73Bu;

    std::uint64_t seed_, trial_, stream_, count_ = 0;
    std::array<std::uint64_t, BLOCK> buffer_{};
    int left_ = 0;
};

} // namespace codesign::engine

#endif
