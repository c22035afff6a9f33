#include "core/usage.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace tonnage {
namespace {

constexpr double kOne = 4294967296.0;  // uses per second, times 2^32

double per_second(const Usage& usage, Tick now) {
  return static_cast<double>(usage.rate(now)) / kOne;
}

// One use per `interval` over `span`, ending at the returned tick.
Tick use_steadily(Usage& usage, Duration interval, Duration span) {
  Tick now{1h};
  const Tick end = now + span;
  for (; now < end; now += interval)
    usage.use(now);
  return now;
}

TEST(Decayed, HalvesAfterTauTimesLogOfTwo) {
  const std::uint64_t n = std::uint64_t{1} << 40;
  for (const Duration tau : {Duration{300s}, Duration{1h}, Duration{12h}}) {
    const Duration half{static_cast<std::int64_t>(static_cast<double>(tau.count()) * 0.693148)};
    EXPECT_NEAR(static_cast<double>(decayed(n, half, tau)), 0.5 * static_cast<double>(n),
                0.012 * static_cast<double>(n));
    EXPECT_NEAR(static_cast<double>(decayed(n, half * 2, tau)), 0.25 * static_cast<double>(n),
                0.012 * static_cast<double>(n));
  }
}

TEST(Decayed, KeepsWhatHasNotAgedAndForgetsWhatIsVeryOld) {
  EXPECT_EQ(decayed(1234, 0s, 300s), 1234U);
  EXPECT_EQ(decayed(1234, -5s, 300s), 1234U);
  EXPECT_EQ(decayed(0, 1h, 300s), 0U);
  EXPECT_EQ(decayed(std::numeric_limits<std::uint64_t>::max(), Duration::max(), 300s), 0U);
}

RC_GTEST_PROP(DecayedProperty, FollowsTheExponentialAndNeverGrows, ()) {
  const auto n = *rc::gen::inRange<std::uint64_t>(1, std::uint64_t{1} << 62);
  const Duration tau = std::chrono::seconds(*rc::gen::element(300, 3'600, 43'200));
  const Duration age{*rc::gen::inRange<std::int64_t>(0, 1'000'000'000'000)};
  const Duration later = age + Duration{*rc::gen::inRange<std::int64_t>(0, 1'000'000'000)};
  const std::uint64_t left = decayed(n, age, tau);
  RC_ASSERT(left <= n);
  RC_ASSERT(decayed(n, later, tau) <= left);
  RC_ASSERT(decayed(n / 2, age, tau) <= left);
  const double exact = static_cast<double>(n) * std::exp(-static_cast<double>(age.count()) /
                                                         static_cast<double>(tau.count()));
  // A table step is 1.1 %; below some units the integer's own rounding counts.
  RC_ASSERT(std::abs(static_cast<double>(left) - exact) <= 0.012 * exact + 2.0);
}

TEST(Usage, NothingUsedHasNoRate) {
  EXPECT_EQ(Usage{}.rate(Tick{1h}), 0U);
}

TEST(Usage, OneUseCountsInAllThreeMemories) {
  Usage usage;
  usage.use(Tick{1h});
  EXPECT_NEAR(per_second(usage, Tick{1h}), 1.0 / 300 + 1.0 / 3'600 + 1.0 / 43'200, 1e-6);
}

TEST(Usage, TheRateFallsWithAge) {
  Usage usage;
  usage.use(Tick{1h});
  std::uint64_t last = usage.rate(Tick{1h});
  for (const Duration age : {Duration{1min}, Duration{10min}, Duration{1h}, Duration{24h}}) {
    const std::uint64_t now = usage.rate(Tick{1h} + age);
    EXPECT_LT(now, last);
    last = now;
  }
  EXPECT_EQ(usage.rate(Tick{1h} + Duration{24h} * 365), 0U);
}

TEST(Usage, OftenUsedIsRatedHigherThanRarelyUsed) {
  Usage often;
  Usage rarely;
  use_steadily(often, 10s, 1h);
  const Tick now = use_steadily(rarely, 60s, 1h);
  EXPECT_GT(often.rate(now), rarely.rate(now));
}

TEST(Usage, RecentUseOutweighsTheSameUseLongAgo) {
  Usage recent;
  Usage old;
  for (int i = 0; i < 5; ++i) {
    old.use(Tick{1h});
    recent.use(Tick{3h});
  }
  EXPECT_GT(recent.rate(Tick{3h}), old.rate(Tick{3h}));
}

// Each memory of a steady use of r per second settles at n = r x tau, and so adds r to the rate.
TEST(Usage, SteadyUseSettlesWhateverItsInterval) {
  for (const Duration interval : {Duration{1s}, Duration{3s}, Duration{30s}, Duration{400s}}) {
    Usage usage;
    const Tick now = use_steadily(usage, interval, Duration{24h} * 5);
    const double each = 1e6 / static_cast<double>(interval.count());
    EXPECT_NEAR(per_second(usage, now), 3 * each, 0.6 * each) << to_text(interval);
  }
}

TEST(Usage, AFloodOfUsesNeverMakesTheRateFall) {
  Usage usage;
  Tick now{1h};
  std::uint64_t last = 0;
  for (int i = 0; i < 100'000; ++i) {
    now += 1us;
    usage.use(now);
    const std::uint64_t rate = usage.rate(now);
    ASSERT_GE(rate, last) << i;
    last = rate;
  }
}

}  // namespace
}  // namespace tonnage
