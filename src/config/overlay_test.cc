#include "config/overlay.h"

#include <gtest/gtest.h>

#include "config/config_text.h"

namespace tonnage {
namespace {

ConfigInputs with(std::string name, std::string value) {
  ConfigInputs inputs = inputs_of(kOneModel);
  inputs.environment[std::move(name)] = std::move(value);
  return inputs;
}

TEST(Overlay, EveryKeyOfTheTableHasAVariableThatIsRead) {
  for (const KeySpec& spec : key_table()) {
    std::string path{spec.path};
    if (spec.scope == KeyScope::model)
      path = (spec.inherited ? "defaults." : "models.a.") + path;
    const bool reachable = spec.scope == KeyScope::global || spec.scope == KeyScope::model;
    if (!reachable || spec.store == nullptr)
      continue;
    // No key takes this, so a variable that is read is reported.
    const std::string text = problems_of(with(environment_name(path), "{"));
    const bool takes_any = spec.type == ValueType::text || spec.type == ValueType::path;
    if (takes_any)
      continue;
    EXPECT_NE(text, "no problem") << path;
    EXPECT_NE(text.find("environment " + environment_name(path)), std::string::npos) << text;
  }
}

TEST(Overlay, ListsAndMapsAreWrittenInOneLine) {
  EXPECT_EQ(config_of(with("TONNAGE_ALLOWED_HOSTS", "a, b,c")).allowed_hosts,
            (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(config_of(with("TONNAGE_ALLOWED_HOSTS", "[a, 'b']")).allowed_hosts,
            (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(config_of(with("TONNAGE_ALLOWED_HOSTS", "")).allowed_hosts.empty());
  EXPECT_EQ(config_of(with("TONNAGE_LISTEN", "[::1]:1, localhost:2")).listen,
            (std::vector<Listen>{{"::1", 1}, {"localhost", 2}}));
  EXPECT_EQ(config_of(with("TONNAGE_DEFAULTS_ENV", "{A: b, C: 1}")).models[0].env,
            (TextMap{{"A", "b"}, {"C", "1"}}));
  EXPECT_EQ(problems_of(with("TONNAGE_DEFAULTS_ENV", "A=b")),
            "environment TONNAGE_DEFAULTS_ENV: defaults.env: 'A=b' is given, but a map of texts is "
            "wanted\n");
}

TEST(Overlay, TheFoundingNamesOfGpusTimesAndFiles) {
  EXPECT_EQ(config_of(with("GPU_MEMORY_RESERVE_PERCENT", "0.10")).gpu.reserve,
            (Reserve{.permille = 100, .size = {}}));
  EXPECT_EQ(config_of(with("GPU_MEMORY_MAX_PERCENT", "0.90")).gpu.max_permille, 900);
  EXPECT_FALSE(config_of(with("ENABLE_CPU_OFFLOAD", "false")).park);
  EXPECT_TRUE(config_of(with("ENABLE_CPU_OFFLOAD", "true")).park);
  EXPECT_EQ(
      problems_of(with("ENABLE_CPU_OFFLOAD", "maybe")),
      "environment ENABLE_CPU_OFFLOAD: residency.park: 'maybe' is not a yes or no; write true "
      "or false\n");
  const Config file = config_of(with("TONNAGE_DEVICES_FILE", "cards.json"));
  EXPECT_EQ(file.probe.devices_file, "/here/cards.json");
  EXPECT_TRUE(file.warnings.empty());
  const Config near = config_of(with("TONNAGE_DEVICE_FILE", "cards.json"));
  ASSERT_EQ(near.warnings.size(), 1U);
  EXPECT_NE(near.warnings[0].find("did you mean 'TONNAGE_DEVICES_FILE'?"), std::string::npos)
      << near.warnings[0];
}

TEST(Overlay, TheFoundingIdleTimeIsThatOfBalanced) {
  ConfigInputs inputs = with("EVICTION_IDLE_THRESHOLD_SECONDS", "20");
  inputs.environment["TONNAGE_PRESSURE"] = "balanced";
  const Config config = config_of(inputs);
  const auto& levels = config.policy.pressure.levels;
  ASSERT_EQ(levels.size(), 3U);
  EXPECT_EQ(levels[0].steps, (std::vector<PressureStep>{{PressureStepKind::park_idle, 20s}}));
  // A more severe level is no more patient.
  EXPECT_EQ(levels[1].steps[1], (PressureStep{PressureStepKind::park_idle, 20s}));
  EXPECT_TRUE(config.warnings.empty());

  inputs.environment["EVICTION_IDLE_THRESHOLD_SECONDS"] = "300";
  EXPECT_EQ(config_of(inputs).policy.pressure.levels[0].steps[0].after, Duration(300s));
  EXPECT_EQ(config_of(inputs).policy.pressure.levels[1].steps[1].after, Duration(30s));

  const Config demand = config_of(with("EVICTION_IDLE_THRESHOLD_SECONDS", "300"));
  ASSERT_EQ(demand.warnings.size(), 1U);
  EXPECT_NE(demand.warnings[0].find("no level of 'demand' parks"), std::string::npos);
}

TEST(Overlay, TheFoundingNamesAreExactFractions) {
  EXPECT_EQ(config_of(with("CPU_MEMORY_RESERVE_PERCENT", "0.25")).policy.pools[0].reserve,
            (Reserve{.permille = 250, .size = {}}));
  EXPECT_EQ(config_of(with("CPU_MEMORY_MAX_PERCENT", "0.5")).policy.pools[0].max_permille, 500);
  EXPECT_EQ(
      problems_of(with("CPU_MEMORY_MAX_PERCENT", "50")),
      "environment CPU_MEMORY_MAX_PERCENT: '50' is not a fraction: it is not between 0 and 1; "
      "write 0.20 or 20%\n");
  ConfigInputs both = with("CPU_MEMORY_MAX_PERCENT", "0.5");
  both.environment["TONNAGE_BUDGETS_HOST_MAX"] = "60%";
  const Config config = config_of(both);
  EXPECT_EQ(config.policy.pools[0].max_permille, 600);
  ASSERT_EQ(config.warnings.size(), 1U);
  EXPECT_EQ(config.warnings[0],
            "environment CPU_MEMORY_MAX_PERCENT is ignored: TONNAGE_BUDGETS_HOST_MAX says the same "
            "and wins");
}

TEST(Overlay, AVariableThatMeansNothingIsWarnedAbout) {
  const Config config = config_of(with("TONNAGE_QUEUE_YEILD_AFTER", "5s"));
  ASSERT_EQ(config.warnings.size(), 1U);
  EXPECT_EQ(
      config.warnings[0],
      "environment TONNAGE_QUEUE_YEILD_AFTER is not a variable that tonnage knows; did you mean "
      "'TONNAGE_QUEUE_YIELD_AFTER'?");
  for (const OtherVariable& other : other_variables()) {
    EXPECT_TRUE(config_of(with(std::string(other.name), "x")).warnings.empty()) << other.name;
  }
  EXPECT_TRUE(config_of(with("PATH", "x")).warnings.empty());
}

TEST(Overlay, TwoModelsWithOneSpellingAreAProblemOnlyWhenTheVariableIsSet) {
  ConfigInputs inputs = inputs_of("models: {a-b: {gguf: x}, a.b: {gguf: y}}");
  EXPECT_EQ(problems_of(inputs), "no problem");
  inputs.environment["TONNAGE_MODELS_A_B_SLOTS"] = "3";
  EXPECT_EQ(problems_of(inputs),
            "environment TONNAGE_MODELS_A_B_SLOTS: it fits models.a-b.slots and models.a.b.slots; "
            "write these in the file\n");
}

TEST(Overlay, FlagsAreReportedByTheirName) {
  ConfigInputs inputs = inputs_of(kOneModel);
  inputs.flags = {{"--budget", "budgets.host.limit", "6"}};
  EXPECT_EQ(problems_of(inputs),
            "flag --budget: budgets.host.limit: '6' is not a memory size: the unit is missing; "
            "write a number and a unit: 512MiB, 6GiB, 1.5GB\n");
}

}  // namespace
}  // namespace tonnage
