// Prng: a small, seedable, portable generator for simulation and generated test data.
#pragma once

#include <array>
#include <cstdint>

#include "base/check.h"

namespace tonnage {

// xoshiro256** (Blackman and Vigna, public domain), seeded through splitmix64. The same seed gives
// the same stream on every compiler and machine, which std distributions do not promise.
class Prng {
 public:
  explicit constexpr Prng(std::uint64_t seed) {
    for (auto& word : state_) {
      seed += 0x9e3779b97f4a7c15ULL;
      std::uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
      word = z ^ (z >> 31);
    }
  }

  constexpr std::uint64_t next() {
    const std::uint64_t result = rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotl(state_[3], 45);
    return result;
  }

  // Uniform in [0, bound). bound must be positive. Lemire's multiply-shift; the bias of at most
  // bound / 2^64 is far below anything a simulation can see.
  constexpr std::uint64_t below(std::uint64_t bound) {
    TONNAGE_CHECK(bound > 0, "below() needs a positive bound");
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }

  // Uniform in [low, high], both included.
  constexpr std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
  }

  // True with a chance of permille / 1000.
  constexpr bool chance(std::uint64_t permille) { return below(1000) < permille; }

 private:
  static constexpr std::uint64_t rotl(std::uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

  std::array<std::uint64_t, 4> state_{};
};

}  // namespace tonnage
