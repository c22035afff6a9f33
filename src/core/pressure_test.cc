#include "core/pressure.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

PressureReading reading(const PressureLevel& level, std::int64_t permille) {
  PressureReading at;
  at.host = true;
  (level.basis == PressureBasis::use ? at.use_permille : at.overrun_permille) = permille;
  return at;
}

std::string name_of(const PressurePolicy& policy, std::optional<std::uint32_t> level) {
  return level ? policy.levels[*level].name : "none";
}

// Holds what a governor would: the level and since when.
struct Pool {
  const PressurePolicy& policy;
  PoolPressure state;

  std::string at(Duration when, const PressureReading& reading) {
    const auto level = next_level(policy, reading, state, Tick(when));
    if (level != state.level)
      state.since = Tick(when);
    state.level = level;
    return name_of(policy, level);
  }
};

struct PresetLevels : testing::TestWithParam<const char*> {
  const PressurePolicy policy = *pressure_preset(GetParam());
};

TEST_P(PresetLevels, AreEnteredBeyondTheirWatermarkAndNotAtIt) {
  for (std::size_t i = 0; i < policy.levels.size(); ++i) {
    const PressureLevel& level = policy.levels[i];
    const std::string milder = i == 0 ? "none" : policy.levels[i - 1].name;
    Pool pool{policy, {}};
    EXPECT_EQ(pool.at(0s, reading(level, level.above_permille)), milder) << level.name;
    EXPECT_EQ(pool.at(0s, reading(level, level.above_permille + 1)), level.name);
  }
}

TEST_P(PresetLevels, AreLeftAtTheirLowerMarkAndAfterTheirDwell) {
  for (std::size_t i = 0; i < policy.levels.size(); ++i) {
    const PressureLevel& level = policy.levels[i];
    const std::string milder = i == 0 ? "none" : policy.levels[i - 1].name;
    Pool pool{policy, {}};
    pool.at(0s, reading(level, level.above_permille + 1));
    EXPECT_EQ(pool.at(level.dwell, reading(level, level.below_permille + 1)), level.name)
        << "above the lower mark";
    EXPECT_EQ(pool.at(level.dwell - 1us, reading(level, level.below_permille)), level.name)
        << "within the dwell";
    EXPECT_EQ(pool.at(level.dwell, reading(level, level.below_permille)), milder);
  }
}

TEST_P(PresetLevels, AreKeptForADwellAfterTheirMarkWasExceededLast) {
  for (const PressureLevel& level : policy.levels) {
    Pool pool{policy, {}};
    pool.at(0s, reading(level, level.above_permille + 1));
    pool.at(10s, reading(level, level.above_permille + 1));
    EXPECT_EQ(pool.at(10s + level.dwell - 1us, reading(level, 0)), level.name);
    EXPECT_EQ(pool.at(10s + level.dwell, reading(level, 0)), "none");
  }
}

TEST_P(PresetLevels, AreInOrderAndApartEnoughNotToFlutter) {
  for (std::size_t i = 0; i < policy.levels.size(); ++i) {
    const PressureLevel& level = policy.levels[i];
    EXPECT_LT(level.below_permille, level.above_permille) << level.name;
    EXPECT_GE(level.dwell, 5s) << level.name;
    EXPECT_FALSE(level.steps.empty()) << level.name;
    if (i > 0) {
      EXPECT_GT(level.above_permille, policy.levels[i - 1].above_permille);
    }
  }
  EXPECT_EQ(policy.preset, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Presets, PresetLevels,
                         testing::Values("demand", "balanced", "guard", "unified"),
                         [](const auto& preset) { return std::string(preset.param); });

TEST(Pressure, GoesStraightToTheWorstLevelAndBackStepByStep) {
  const PressurePolicy policy = *pressure_preset("guard");
  Pool pool{policy, {}};
  const PressureLevel& any = policy.levels.front();
  EXPECT_EQ(pool.at(0s, reading(any, 999)), "emergency");
  EXPECT_EQ(pool.at(15s, reading(any, 880)), "critical") << "880 would not leave critical";
  EXPECT_EQ(pool.at(29s, reading(any, 780)), "critical");
  EXPECT_EQ(pool.at(30s, reading(any, 780)), "warning");
  EXPECT_EQ(pool.at(45s, reading(any, 600)), "none");
}

TEST(Pressure, TheKernelsWordIsForTheHostAlone) {
  const PressurePolicy policy = *pressure_preset("demand");
  PressureReading at;
  at.host = true;
  at.stall_some_permille = 301;
  EXPECT_EQ((Pool{policy, {}}.at(0s, at)), "high");
  at.stall_some_permille = 300;
  EXPECT_EQ((Pool{policy, {}}.at(0s, at)), "none");
  at.stall_full_permille = 101;
  EXPECT_EQ((Pool{policy, {}}.at(0s, at)), "high");
  at.host = false;
  EXPECT_EQ((Pool{policy, {}}.at(0s, at)), "none");
}

TEST(Pressure, ALevelThatAReloadTookAwayIsLeft) {
  PressurePolicy policy = *pressure_preset("guard");
  const PressureLevel any = policy.levels.front();
  Pool pool{policy, {}};
  pool.at(0s, reading(any, 999));
  policy.levels.resize(1);
  EXPECT_EQ(pool.at(1s, reading(any, 999)), "warning");
  policy.levels.clear();
  EXPECT_EQ(pool.at(2s, reading(any, 999)), "none");
}

TEST(Pressure, LevelsOfDevicesDoNotHoldForTheHost) {
  PressurePolicy policy = *pressure_preset("balanced");
  for (PressureLevel& level : policy.levels)
    level.host = false;
  EXPECT_EQ((Pool{policy, {}}.at(0s, reading(policy.levels.front(), 999))), "none");
}

TEST(Pressure, OtherNamesAreNoPresets) {
  EXPECT_FALSE(pressure_preset("Demand"));
  EXPECT_FALSE(pressure_preset(""));
}

}  // namespace
}  // namespace tonnage
