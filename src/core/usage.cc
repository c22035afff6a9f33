#include "core/usage.h"

#include <algorithm>

namespace tonnage {
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

// Whole table steps in `age`.
std::uint64_t steps_in(Duration age, Duration tau) {
  if (age.count() <= 0)
    return 0;
  // 50 days fit into 64 bits, where division is quick; 64 us of rounding change nothing.
  if (age.count() < std::int64_t{1} << 42) {
    return ((static_cast<std::uint64_t>(age.count()) >> 6) * kStepsPerTau /
            static_cast<std::uint64_t>(tau.count())) >>
           10;
  }
  const auto product = static_cast<unsigned __int128>(age.count()) * kStepsPerTau;
  return static_cast<std::uint64_t>(product / static_cast<std::uint64_t>(tau.count()) >> 16);
}

// The time that so many steps take, rounded down: never beyond the age they were counted in.
Duration time_of(std::uint64_t steps, Duration tau) {
  const auto product =
      (static_cast<unsigned __int128>(steps) << 16) * static_cast<std::uint64_t>(tau.count());
  return Duration{static_cast<std::int64_t>(product / kStepsPerTau)};
}

std::uint64_t after_steps(std::uint64_t n, std::uint64_t steps) {
  const std::uint64_t halvings = steps / kSteps;
  if (halvings >= 64)
    return 0;
  const auto scaled = (static_cast<unsigned __int128>(n) * kPowers[steps % kSteps]) >> 32;
  return static_cast<std::uint64_t>(scaled) >> halvings;
}

}  // namespace

std::uint64_t decayed(std::uint64_t n, Duration age, Duration tau) {
  return after_steps(n, steps_in(age, tau));
}

void Usage::use(Tick now) {
  for (std::size_t i = 0; i < memories_.size(); ++i) {
    Memory& memory = memories_[i];
    const Duration tau = std::chrono::seconds(kTausSeconds[i]);
    const std::uint64_t steps = steps_in(now - memory.at, tau);
    memory.count = after_steps(memory.count, steps);
    // A model that was not used for so long that nothing is left starts afresh.
    memory.at = memory.count == 0 ? now : memory.at + time_of(steps, tau);
    const std::uint64_t most = ~std::uint64_t{0} - kOne;
    memory.count = std::min(memory.count, most) + kOne;
  }
}

std::uint64_t Usage::rate(Tick now) const {
  std::uint64_t rate = 0;
  for (std::size_t i = 0; i < memories_.size(); ++i) {
    const Memory& memory = memories_[i];
    rate += decayed(memory.count, now - memory.at, std::chrono::seconds(kTausSeconds[i])) /
            static_cast<std::uint64_t>(kTausSeconds[i]);
  }
  return rate;
}

}  // namespace tonnage
