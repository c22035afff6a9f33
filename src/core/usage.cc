#include "core/usage.h"

namespace vramd {
namespace {

constexpr std::array<std::int64_t, 3> kTausSeconds = {300, 3'600, 43'200};

constexpr std::uint64_t kOne = std::uint64_t{1} << 32;  // fixed point of the counts
constexpr std::size_t kSteps = 64;                      // table steps per halving

// Integer square root, for the table below.
constexpr std::uint64_t square_root(unsigned __int128 n) {
  std::uint64_t low = 0;
  std::uint64_t high = ~std::uint64_t{0};
  while (low < high) {
    const std::uint64_t mid = low + (high - low) / 2 + 1;
    if (static_cast<unsigned __int128>(mid) * mid <= n) {
      low = mid;
    } else {
      high = mid - 1;
    }
  }
  return low;
}

// kPowers[i] = 2^(-i / 64), times 2^32. The step 2^(-1/64) is six square roots of one half.
constexpr std::array<std::uint64_t, kSteps> make_powers() {
  constexpr int kScale = 62;
  std::uint64_t step = std::uint64_t{1} << (kScale - 1);  // one half
  for (int i = 0; i < 6; ++i)
    step = square_root(static_cast<unsigned __int128>(step) << kScale);
  std::array<std::uint64_t, kSteps> powers{};
  std::uint64_t power = std::uint64_t{1} << kScale;
  for (auto& entry : powers) {
    entry = power >> (kScale - 32);
    power = static_cast<std::uint64_t>((static_cast<unsigned __int128>(power) * step) >> kScale);
  }
  return powers;
}

constexpr auto kPowers = make_powers();

// 64 / ln 2, times 2^16: steps of the table per time constant.
constexpr std::uint64_t kStepsPerTau = 6'051'102;

}  // namespace

std::uint64_t decayed(std::uint64_t n, Duration age, Duration tau) {
  if (age.count() <= 0 || n == 0)
    return n;
  const auto age_us = static_cast<unsigned __int128>(age.count());
  const auto tau_us = static_cast<std::uint64_t>(tau.count());
  const auto steps = static_cast<std::uint64_t>((age_us * kStepsPerTau / tau_us) >> 16);
  const std::uint64_t halvings = steps / kSteps;
  if (halvings >= 64)
    return 0;
  const auto scaled = (static_cast<unsigned __int128>(n) * kPowers[steps % kSteps]) >> 32;
  return static_cast<std::uint64_t>(scaled) >> halvings;
}

void Usage::use(Tick now) {
  for (std::size_t i = 0; i < kMemories; ++i) {
    counts_[i] = decayed(counts_[i], now - last_, std::chrono::seconds(kTausSeconds[i])) + kOne;
  }
  last_ = now;
}

std::uint64_t Usage::rate(Tick now) const {
  std::uint64_t rate = 0;
  for (std::size_t i = 0; i < kMemories; ++i) {
    rate += decayed(counts_[i], now - last_, std::chrono::seconds(kTausSeconds[i])) /
            static_cast<std::uint64_t>(kTausSeconds[i]);
  }
  return rate;
}

}  // namespace vramd
