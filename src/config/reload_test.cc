#include "config/reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/device_pools.h"
#include "config/load.h"

namespace tonnage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Config config_of(const std::string& yaml) {
  ConfigInputs inputs;
  inputs.file_name = "tonnage.yaml";
  inputs.yaml = yaml;
  inputs.file_folder = "/etc/tonnage";
  inputs.working_folder = "/here";
  auto config = parse_config(inputs);
  EXPECT_TRUE(config) << config.error().text();
  return config ? std::move(*config) : Config{};
}

constexpr const char* kTwo = "models: {a: {gguf: a.gguf}, b: {gguf: b.gguf}}\n";

TEST(Reload, TheSameConfigurationChangesNothing) {
  const Config running = config_of(kTwo);
  const MergedConfig merged = merge_reload(running, config_of(kTwo));
  EXPECT_THAT(merged.changed, IsEmpty());
  EXPECT_THAT(merged.added, IsEmpty());
  EXPECT_THAT(merged.removed, IsEmpty());
  EXPECT_THAT(merged.later, IsEmpty());
  EXPECT_EQ(merged.config.policy, running.policy);
  EXPECT_EQ(merged.config.models, running.models);
}

TEST(Reload, ModelsKeepTheirIdsWhateverTheirOrder) {
  const MergedConfig merged =
      merge_reload(config_of(kTwo), config_of("models: {c: {gguf: c}, b: {gguf: b.gguf}}"));
  ASSERT_EQ(merged.config.models.size(), 3U);
  EXPECT_EQ(merged.config.policy.models[0].id, "a");
  EXPECT_TRUE(merged.config.policy.models[0].removed);
  EXPECT_EQ(merged.config.policy.models[1].id, "b");
  EXPECT_EQ(merged.config.policy.models[2].id, "c");
  EXPECT_THAT(merged.added, ElementsAre("c"));
  EXPECT_THAT(merged.removed, ElementsAre("a"));
  EXPECT_THAT(merged.changed, IsEmpty());
}

TEST(Reload, AModelThatComesBackHasItsOldIdAndIsLookedAtAnew) {
  const MergedConfig gone = merge_reload(config_of(kTwo), config_of("models: {b: {gguf: b.gguf}}"));
  const MergedConfig back = merge_reload(gone.config, config_of(kTwo));
  EXPECT_EQ(back.config.models.size(), 2U);
  EXPECT_FALSE(back.config.policy.models[0].removed);
  EXPECT_THAT(back.added, ElementsAre("a"));
  EXPECT_THAT(back.changed, ElementsAre(ModelId(0)));
}

TEST(Reload, WhatAServerWasStartedWithNeedsAnother) {
  for (const char* change :
       {"gguf: other.gguf", "gguf: a.gguf, context: 512", "gguf: a.gguf, slots: 7",
        "gguf: a.gguf, kv_type: q8_0", "gguf: a.gguf, args: [--mlock]", "gguf: a.gguf, threads: 3",
        "gguf: a.gguf, env: {A: b}", "gguf: a.gguf, type: embedding",
        "gguf: a.gguf, cache_ram: 3MiB", "gguf: a.gguf, ladder: [{context: 256}]"}) {
    const MergedConfig merged =
        merge_reload(config_of("models: {a: {gguf: a.gguf}}"),
                     config_of("models: {a: {" + std::string(change) + "}}"));
    EXPECT_THAT(merged.changed, ElementsAre(ModelId(0))) << change;
  }
}

TEST(Reload, WhatOnlyTonnageLooksAtDoesNot) {
  const MergedConfig merged = merge_reload(
      config_of("models: {a: {gguf: a.gguf}}"),
      config_of("queue: {max_waiting: 3}\nmodels: {a: {gguf: a.gguf, aliases: [x], pin: true, "
                "priority: high, ttl: 5m, request_timeout: 9s}}"));
  EXPECT_THAT(merged.changed, IsEmpty());
  EXPECT_THAT(merged.later, IsEmpty());
  EXPECT_TRUE(merged.config.policy.models[0].pinned);
  EXPECT_EQ(merged.config.policy.queue.waiting_max, 3);
  EXPECT_THAT(merged.config.models[0].aliases, ElementsAre("x"));
}

TEST(Reload, KeysOfTheStartStayAsTheyAreAndAreNamed) {
  const Config running = config_of(kTwo);
  const MergedConfig merged = merge_reload(
      running, config_of("listen: 127.0.0.1:1\nengine: {spin_count: 5}\nruntime_dir: /x\n"
                         "limits: {body_max: 1MiB, request_timeout: 9s}\nhistory: {every: 1m}\n" +
                         std::string(kTwo)));
  EXPECT_THAT(merged.later, ElementsAre("listen", "runtime_dir", "state_dir", "history",
                                        "engine.spin_count", "limits"));
  EXPECT_EQ(merged.config.listen, running.listen);
  EXPECT_EQ(merged.config.limits.body_max, running.limits.body_max);
  EXPECT_EQ(merged.config.limits.request_timeout, Duration(9s));
}

TEST(Reload, LevelsAndBudgetsOfDevicesAreInForceAtOnce) {
  Config running = config_of(kTwo);
  apply_devices(running, {{.name = "gpu0", .id = "GPU-1", .capacity = 24_GiB}});
  const MergedConfig merged = merge_reload(
      running, config_of("pressure: {preset: guard, fallback: b}\nbudgets: {gpu: {limit: 4GiB}}\n"
                         "models: {c: {gguf: c}, b: {gguf: b.gguf}}"));
  EXPECT_EQ(merged.config.policy.pressure.preset, "guard");
  // In the ids of the daemon that runs.
  EXPECT_EQ(merged.config.policy.pressure.fallback, ModelId(1));
  ASSERT_EQ(merged.config.policy.pools.size(), 2U);
  EXPECT_EQ(merged.config.policy.pools[1].name, "gpu0");
  EXPECT_EQ(merged.config.policy.pools[1].limit, 4_GiB);
  EXPECT_EQ(merged.config.devices, running.devices);
  EXPECT_THAT(merged.later, IsEmpty());
  // The size of the card gave both the same default context.
  EXPECT_THAT(merged.changed, IsEmpty());
}

TEST(Reload, WhichDevicesThereAreIsAQuestionOfTheStart) {
  Config running = config_of(kTwo);
  apply_devices(running, {{.name = "gpu0", .id = "GPU-1", .capacity = 8_GiB}});
  const MergedConfig merged = merge_reload(
      running,
      config_of("cpu: true\nprobe: {interval: 9s, devices_file: x.json}\n" + std::string(kTwo)));
  EXPECT_THAT(merged.later, ElementsAre("cpu", "probe.devices_file"));
  EXPECT_FALSE(merged.config.cpu);
  EXPECT_EQ(merged.config.policy.pools.size(), 2U);
  EXPECT_EQ(merged.config.probe.interval, Duration(9s));
  EXPECT_EQ(merged.config.probe.devices_file, "");
}

}  // namespace
}  // namespace tonnage
