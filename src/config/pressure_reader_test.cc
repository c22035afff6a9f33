#include "config/pressure_reader.h"

#include <gtest/gtest.h>

#include "config/config_text.h"

namespace tonnage {
namespace {

using enum PressureStepKind;

PressurePolicy policy_of(const std::string& yaml) {
  return config_of(yaml + "\n" + kOneModel).policy.pressure;
}

std::string wrong(const std::string& yaml) {
  return problems_of(yaml + "\n" + kOneModel);
}

TEST(Pressure, DemandIsTheDefault) {
  EXPECT_EQ(policy_of(""), pressure_preset("demand"));
}

TEST(Pressure, APresetIsTakenAsItIs) {
  for (const char* name : {"demand", "balanced", "guard", "unified"}) {
    EXPECT_EQ(policy_of("pressure: " + std::string(name)), pressure_preset(name)) << name;
    EXPECT_EQ(policy_of("pressure: {preset: " + std::string(name) + "}"), pressure_preset(name));
  }
}

TEST(Pressure, AListDefinesEveryLevel) {
  const PressurePolicy policy = policy_of(
      "pressure:\n"
      "  - {name: busy, above: 80%, actions: [notify, {park_idle: 120s}, unload_idle]}\n"
      "  - name: full\n"
      "    basis: use\n"
      "    above: 92.5%\n"
      "    below: 85%\n"
      "    dwell: 1m\n"
      "    psi: {some: 20%, full: 5%}\n"
      "    pools: [host]\n"
      "    actions: [{derate: 7.5%}, {park_busy_after: 30s}, {unload_idle: 5s}]\n");
  EXPECT_EQ(policy.preset, "custom");
  ASSERT_EQ(policy.levels.size(), 2U);
  const PressureLevel& busy = policy.levels[0];
  EXPECT_EQ(busy.name, "busy");
  EXPECT_EQ(busy.above_permille, 800);
  EXPECT_EQ(busy.below_permille, 770);
  EXPECT_EQ(busy.dwell, Duration(15s));
  EXPECT_TRUE(busy.host && busy.devices);
  EXPECT_EQ(busy.steps, (std::vector<PressureStep>{{notify}, {park_idle, 120s}, {unload_idle}}));
  const PressureLevel& full = policy.levels[1];
  EXPECT_EQ(full.above_permille, 925);
  EXPECT_EQ(full.below_permille, 850);
  EXPECT_EQ(full.dwell, Duration(1min));
  EXPECT_EQ(full.stall_some_permille, 200);
  EXPECT_EQ(full.stall_full_permille, 50);
  EXPECT_TRUE(full.host && !full.devices);
  EXPECT_EQ(full.steps, (std::vector<PressureStep>{
                            {derate, Duration{0}, 75}, {park_busy, 30s}, {unload_idle, 5s}}));
}

TEST(Pressure, APartOfAPresetCanBeChanged) {
  const PressurePolicy guard = *pressure_preset("guard");
  const PressurePolicy policy = policy_of(
      "pressure:\n"
      "  levels: [{name: warning, above: 75%}, {name: emergency, actions: [unload_idle]}]\n"
      "  restore_below: 50%\n"
      "  fallback: a\n"
      "  preset: guard\n");
  ASSERT_EQ(policy.levels.size(), 3U);
  EXPECT_EQ(policy.preset, "guard");
  EXPECT_EQ(policy.levels[0].above_permille, 750);
  EXPECT_EQ(policy.levels[0].below_permille, 720);
  EXPECT_EQ(policy.levels[0].steps, guard.levels[0].steps);
  EXPECT_EQ(policy.levels[1], guard.levels[1]);
  EXPECT_EQ(policy.levels[2].above_permille, guard.levels[2].above_permille);
  EXPECT_EQ(policy.levels[2].steps, (std::vector<PressureStep>{{unload_idle}}));
  EXPECT_EQ(policy.restore_below_permille, 500);
  EXPECT_EQ(policy.fallback, ModelId(0));
}

TEST(Pressure, ZeroPercentMeansThatNothingIsBroughtBack) {
  EXPECT_EQ(policy_of("pressure: guard").restore_below_permille, 600);
  EXPECT_EQ(policy_of("pressure: {preset: guard, restore_below: 0%}").restore_below_permille,
            std::nullopt);
}

TEST(Pressure, WhatTheEnvironmentNamesReplacesTheListOfTheFile) {
  ConfigInputs inputs =
      inputs_of("pressure: [{name: x, above: 50%, actions: [notify]}]\n" + std::string(kOneModel));
  EXPECT_EQ(config_of(inputs).policy.pressure.preset, "custom");
  inputs.environment["TONNAGE_PRESSURE"] = "guard";
  EXPECT_EQ(config_of(inputs).policy.pressure, pressure_preset("guard"));
  inputs.flags.push_back({"--pressure", "pressure", "balanced"});
  EXPECT_EQ(config_of(inputs).policy.pressure, pressure_preset("balanced"));
}

TEST(Pressure, WithoutParkingIdleModelsAreUnloaded) {
  const PressurePolicy policy = policy_of("residency: {park: false}\npressure: balanced");
  EXPECT_EQ(policy.levels[0].steps, (std::vector<PressureStep>{{unload_idle, 120s}}));
}

TEST(Pressure, EveryActionOfTheCoreHasAName) {
  for (const std::string& name : pressure_action_names()) {
    const std::string number = name == "derate" ? ": 5%" : name == "park_busy" ? ": 30s" : "";
    const std::string text = number.empty() ? name : "{" + name + number + "}";
    const PressurePolicy policy = policy_of(
        "pressure: {fallback: a, levels: [{name: x, above: "
        "50%, actions: [" +
        text + "]}]}");
    ASSERT_EQ(policy.levels.size(), 1U) << name;
    EXPECT_EQ(to_text(policy.levels[0].steps.at(0).kind), name);
  }
  // The last kind of the enumeration is named; so are those before it.
  EXPECT_EQ(pressure_action_names().size(), static_cast<std::size_t>(fallback) + 1);
}

TEST(Pressure, MistakesAreNamedWithTheirPlace) {
  struct Case {
    const char* yaml;
    const char* expected;
  };
  constexpr Case kCases[] = {
      {"pressure: gaurd",
       "1:11: pressure: 'gaurd' is not one of demand, balanced, guard or "
       "unified; did you mean 'guard'?"},
      {"pressure: []", "1:11: pressure: 0 levels are given, but 1 to 16 are wanted"},
      {"pressure: [high]",
       "1:12: pressure[1]: 'high' is given, but a map such as {name: high, "
       "above: 80%, actions: [notify]} is wanted"},
      {"pressure: [{name: a, abov: 80%, actions: [notify]}]",
       "1:22: unknown key 'abov' in pressure[1]; did you mean 'above'?"},
      {"pressure: [{name: a, above: 80%, actions: [unload_idel]}]",
       "1:44: pressure[1].actions[1]: 'unload_idel' is not an action; did you mean 'unload_idle'?"},
      {"pressure: [{name: a, above: 80%, actions: [{derate: 5}]}]",
       "1:44: pressure[1].actions[1]: '5' is not a share of memory; write {derate: 5%}"},
      {"pressure: [{name: a, above: 80%, actions: [derate]}]",
       "1:44: pressure[1].actions[1]: 'derate' needs a value; write {derate: 5%}"},
      {"pressure: [{name: a, above: 80%, actions: [{notify: 5s}]}]",
       "1:44: pressure[1].actions[1]: 'notify' takes no value; write it alone"},
      {"pressure: [{name: a, above: 80%, actions: [restore]}]",
       "1:44: pressure[1].actions[1]: 'restore' is not an action; models come back below "
       "'pressure: "
       "{restore_below: 60%}'"},
      {"pressure: [{name: a, above: 101%, actions: [notify]}]",
       "1:29: pressure[1].above: '101%' is not a percentage: it is more than 100%"},
      {"pressure: [{name: a, above: 70%, below: 80%, actions: [notify]}]",
       "1:41: pressure[1].below: the level would be left below 80% and entered above 70%; 'below' "
       "must not be more than 'above'"},
      {"pressure: [{name: a, actions: [notify]}]",
       "1:12: pressure[1].above: it is missing; add 'above: 80%', or 'psi' for kernel stalls"},
      {"pressure: [{name: a, above: 5%}]",
       "1:12: pressure[1].actions: they are missing; add 'actions: [notify]'"},
      {"pressure: [{above: 5%, actions: [notify]}]",
       "1:12: pressure[1].name: it is missing; add 'name: high'"},
      {"pressure: [{name: a, above: 80%, actions: [notify]}, {name: b, above: 80%, actions: "
       "[notify]}]",
       "1:71: pressure[2].above: levels ascend, but 'b' begins at 80% and 'a' before it at 80%"},
      {"pressure: {preset: guard, levels: [{name: critical, above: 75%}]}",
       "1:60: pressure.levels[1].above: levels ascend, but 'critical' begins at 75% and 'warning' "
       "before it at 80%"},
      {"pressure: {preset: guard, levels: [{name: warnig, above: 75%}]}",
       "1:43: pressure.levels[1].name: the preset guard has no level 'warnig'; did you mean "
       "'warning'?"},
      {"pressure: [{name: a, psi: {some: 20%}, pools: [gpu], actions: [notify]}]",
       "1:12: pressure[1].psi: kernel stalls are about host memory; add host to 'pools'"},
      {"pressure: {fallback: nobody}", "1:22: pressure.fallback: there is no model 'nobody'"},
      {"pressure: {presett: guard}",
       "1:12: unknown key 'presett' in pressure; did you mean "
       "'preset'?"},
  };
  for (const Case& c : kCases)
    EXPECT_EQ(wrong(c.yaml), "tonnage.yaml:" + std::string(c.expected) + "\n") << c.yaml;
}

TEST(Pressure, ALevelOfKernelStallsNeedsNoWatermark) {
  const PressurePolicy policy = policy_of(
      "pressure: [{name: slow, psi: {some: 10%}, actions: [notify]}, {name: stuck, psi: {full: "
      "10%}, actions: [relieve]}]");
  ASSERT_EQ(policy.levels.size(), 2U);
  EXPECT_EQ(policy.levels[0].above_permille, 1000);
  EXPECT_EQ(policy.levels[1].stall_full_permille, 100);
}

}  // namespace
}  // namespace tonnage
