#include "sim/scenario.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include <gtest/gtest.h>

#include "base/prng.h"
#include "sim/knobs.h"
#include "sim/scenario_policy.h"

namespace tonnage::sim {
namespace {

const std::filesystem::path kFolder = TONNAGE_SOURCE_DIR "/tests/scenarios";

std::vector<std::string> scenario_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() == ".txt")
      names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class GoldenScenario : public testing::TestWithParam<std::string> {};

// TONNAGE_UPDATE_GOLDEN=1 writes what the core does now; read the difference before committing it.
TEST_P(GoldenScenario, gives_the_actions_that_the_file_says) {
  const auto path = kFolder / (GetParam() + ".txt");
  const std::string golden = read(path);
  ASSERT_TRUE(golden.starts_with("# ")) << path << " must open with a sentence naming the rule";
  const auto played = play_scenario(golden);
  ASSERT_TRUE(played.has_value()) << path << ": " << played.error().text();
  EXPECT_EQ(played->find("BROKEN"), std::string::npos) << *played;
  if (std::getenv("TONNAGE_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << *played;
    return;
  }
  EXPECT_EQ(golden, *played) << "TONNAGE_UPDATE_GOLDEN=1 sim_test rewrites " << path;
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenScenario, testing::ValuesIn(scenario_names()),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Scenario, there_are_files) {
  EXPECT_GE(scenario_names().size(), 12U);
}

TEST(Scenario, an_unknown_line_is_an_error_that_names_it) {
  const auto played = play_scenario("pool 1GiB\nat 0s dance g1\n");
  ASSERT_FALSE(played.has_value());
  EXPECT_NE(played.error().text().find("line 2"), std::string::npos) << played.error().text();
}

// What a simulation changed can be told by a scenario.
TEST(Scenario, every_change_of_a_policy_can_be_written_and_read) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    const Knobs knobs = draw_knobs(seed);
    Prng prng(seed);
    PolicyChanged event{knobs.policy, {}};
    edit_policy(prng, knobs, event.policy, event.changed);
    Words words = split_words(write_event(Tick{}, event, knobs.policy));
    words.erase(words.begin(), words.begin() + 2);  // at 0s
    ScenarioSetting setting = default_setting();
    setting.policy = knobs.policy;
    std::vector<ModelId> changed;
    const auto taken = take_changes(setting, words, changed);
    ASSERT_TRUE(taken.has_value()) << "seed " << seed << ": " << taken.error().text();
    EXPECT_EQ(setting.policy, event.policy) << "seed " << seed;
    EXPECT_EQ(changed, event.changed) << "seed " << seed;
  }
}

TEST(Scenario, time_does_not_go_back) {
  EXPECT_FALSE(play_scenario("pool 1GiB\nat 2s wait\nat 1s wait\n").has_value());
}

}  // namespace
}  // namespace tonnage::sim
