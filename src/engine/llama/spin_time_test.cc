#include "engine/llama/spin_time.h"

#include <optional>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

// Two virtual cores of an EPYC, where 440 was found by trying: next to nothing is lost alone, and
// two models together keep 0.7 of what one has.
constexpr SpinCosts kEpyc{.look_ps = 24'640, .sleep_ns = 13'500, .wake_ns = 7'600};

TEST(SpinTime, four_fifths_of_what_sleeping_costs_are_spun) {
  EXPECT_EQ(spin_count(kEpyc, 2), 438);
}

TEST(SpinTime, a_slower_pause_means_fewer_turns_of_the_same_time) {
  SpinCosts skylake = kEpyc;
  skylake.look_ps = 46'000;
  EXPECT_EQ(spin_count(skylake, 2), 234);
  SpinCosts without_pause = kEpyc;
  without_pause.look_ps = 700;
  EXPECT_EQ(spin_count(without_pause, 2), 15'428);
}

TEST(SpinTime, more_threads_are_woken_one_by_one) {
  EXPECT_EQ(spin_count(kEpyc, 8), 1'178);
  EXPECT_EQ(spin_count(kEpyc, 32), 4'139);
}

TEST(SpinTime, what_was_not_measured_gives_the_usual_count) {
  EXPECT_EQ(spin_count({}, 2), kSpinCountUnmeasured);
  EXPECT_EQ(spin_count(kEpyc, 1), kSpinCountUnmeasured);
}

TEST(SpinTime, nonsense_is_bounded) {
  EXPECT_EQ(spin_count({.look_ps = 1, .sleep_ns = 1'000'000'000, .wake_ns = 0}, 2), kSpinCountMax);
  EXPECT_EQ(spin_count({.look_ps = 1'000'000, .sleep_ns = 1, .wake_ns = 0}, 2), kSpinCountMin);
}

TEST(SpinTime, this_machine_can_be_measured) {
  const auto cores = usable_cores();
  if (cores.size() < 2)
    GTEST_SKIP() << "needs two physical cores";
  std::optional<SpinCosts> costs;  // none while others have the processors most of the time
  for (int tries = 0; tries < 20 && !costs; ++tries)
    costs = measure_spin_costs(cores[0], cores[1], 2s, {});
  ASSERT_TRUE(costs);
  EXPECT_GT(costs->look_ps, 0);
  EXPECT_GT(costs->sleep_ns, costs->look_ps / 1'000);
  EXPECT_GT(costs->wake_ns, 0);
}

TEST(SpinTime, a_processor_that_is_not_there_is_no_measure) {
  EXPECT_FALSE(measure_spin_costs(0, 1'000'000, 1s, {}));
}

TEST(SpinTime, it_ends_when_asked_to) {
  std::stop_source stop;
  stop.request_stop();
  const auto cores = usable_cores();
  ASSERT_FALSE(cores.empty());
  EXPECT_FALSE(measure_spin_costs(cores.front(), cores.back(), 1h, stop.get_token()));
}

}  // namespace
}  // namespace tonnage
