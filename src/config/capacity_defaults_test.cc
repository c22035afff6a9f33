#include "config/capacity_defaults.h"

#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "config/config_text.h"

namespace tonnage {
namespace {

std::string class_of_card(Bytes capacity) {
  const CapacityClass* found = capacity_class({.largest_device = capacity});
  return found == nullptr ? "none" : std::string(found->name);
}

Config on(Capacities capacities, const std::string& yaml) {
  Config config = config_of(yaml + "\n" + kOneModel);
  apply_capacity_defaults(config, capacities);
  return config;
}

std::string setting_of(const Config& config, std::string_view path) {
  for (const Setting& setting : config.sources) {
    if (setting.path == path)
      return setting.value + " from " + setting.source;
  }
  return "none";
}

// What drivers report of cards of these sizes.
TEST(CapacityDefaults, CardsAreKnownByWhatTheirDriversReport) {
  EXPECT_EQ(class_of_card(4096_MiB), "4 GB");
  EXPECT_EQ(class_of_card(3'900_MiB), "4 GB");
  EXPECT_EQ(class_of_card(6'144_MiB - 200_MiB), "4 GB");
  EXPECT_EQ(class_of_card(7'800_MiB), "8 GB");
  EXPECT_EQ(class_of_card(8192_MiB), "8 GB");
  EXPECT_EQ(class_of_card(11'264_MiB), "12 GB");
  EXPECT_EQ(class_of_card(12'282_MiB), "12 GB");
  EXPECT_EQ(class_of_card(16'380_MiB), "16 GB");
  EXPECT_EQ(class_of_card(24'564_MiB), "24 GB");
  EXPECT_EQ(class_of_card(46'068_MiB), "48 GB");
  EXPECT_EQ(class_of_card(81'559_MiB), "48 GB");
  EXPECT_EQ(capacity_class({.unified = 17_GiB})->name, "unified 18 GB");
  EXPECT_EQ(capacity_class({.unified = 120_GiB})->name, "unified 128 GB");
  EXPECT_EQ(capacity_class({}), nullptr);
  // A card of its own decides, whatever the processor has beside it.
  EXPECT_EQ(capacity_class({.largest_device = 8_GiB, .unified = 120_GiB})->name, "8 GB");
}

TEST(CapacityDefaults, WithoutAGpuNothingChanges) {
  const Config plain = config_of("\n" + std::string(kOneModel));
  const Config after = on({}, "");
  EXPECT_EQ(after.policy, plain.policy);
  EXPECT_EQ(after.models, plain.models);
  EXPECT_EQ(after.sources, plain.sources);
}

TEST(CapacityDefaults, ASmallCardIsUsedMoreSparingly) {
  const Config config = on({.largest_device = 4_GiB}, "");
  EXPECT_EQ(config.models[0].configured.slots, 1);
  EXPECT_EQ(config.policy.models[0].in_flight_max, 1);
  EXPECT_EQ(config.policy.models[0].ttl, Duration(5min));
  EXPECT_TRUE(config.policy.residency.heavy_slot);
  EXPECT_EQ(config.policy.queue.degrade_after, Duration(30s));
  EXPECT_EQ(config.policy.pressure.preset, "demand");
  EXPECT_EQ(setting_of(config, "residency.ttl"), "5m from default for 4 GB");
  EXPECT_EQ(setting_of(config, "defaults.context"), "4096 from default");
}

TEST(CapacityDefaults, AsManySlotsAsTheCardHasRoomFor) {
  EXPECT_EQ(on({.largest_device = 47_GiB}, "").models[0].configured,
            (Placement{.gpu_layers = 0, .context = 8192, .slots = 4, .kv = KvType::f16}));
  EXPECT_EQ(on({.largest_device = 24_GiB}, "").models[0].configured.slots, 2);
  EXPECT_EQ(on({.unified = 18_GiB}, "").policy.pressure, pressure_preset("unified"));
  EXPECT_EQ(on({.unified = 128_GiB}, "").policy.pressure, pressure_preset("demand"));
}

TEST(CapacityDefaults, WhatTheUserSetStays) {
  const Capacities small{.largest_device = 4_GiB};
  EXPECT_EQ(on(small, "defaults: {slots: 2}").models[0].configured.slots, 2);
  EXPECT_EQ(on(small, "residency: {ttl: never}").policy.models[0].ttl, std::nullopt);
  EXPECT_FALSE(on(small, "residency: {heavy_slot: false}").policy.residency.heavy_slot);
  Config own = config_of("models: {a: {gguf: a, slots: 3, ttl: 1h}, b: {gguf: b, context: 512}}");
  apply_capacity_defaults(own, {.largest_device = 48_GiB});
  EXPECT_EQ(own.models[0].configured.slots, 3);
  EXPECT_EQ(own.models[0].configured.context, 8192);
  EXPECT_EQ(own.policy.models[0].ttl, Duration(1h));
  EXPECT_EQ(own.models[1].configured.slots, 4);
  EXPECT_EQ(own.models[1].configured.context, 512);
  const Capacities unified{.unified = 18_GiB};
  EXPECT_EQ(on(unified, "pressure: demand").policy.pressure.preset, "demand");
  EXPECT_EQ(on(unified, "pressure: {restore_below: 50%}").policy.pressure.preset, "demand");
}

TEST(CapacityDefaults, ALadderThatGoesDownFromTheUsualPlacementKeepsIt) {
  Config config = config_of("models: {a: {gguf: a, ladder: [{slots: 2, context: 2048}]}}");
  apply_capacity_defaults(config, {.largest_device = 4_GiB});
  EXPECT_EQ(config.models[0].configured.slots, 2);
}

TEST(CapacityDefaults, TwiceIsAsGoodAsOnce) {
  Config config = on({.largest_device = 8_GiB}, "");
  const Config once = config;
  apply_capacity_defaults(config, {.largest_device = 8_GiB});
  EXPECT_EQ(config.policy, once.policy);
  EXPECT_EQ(config.models, once.models);
  EXPECT_EQ(config.sources, once.sources);
}

// Every class sets only keys that exist, to values that they take, and all cards set the same keys.
TEST(CapacityDefaults, EveryClassCanBeApplied) {
  for (const CapacityClass& machine : capacity_classes()) {
    Config config = config_of(kOneModel);
    const Bytes capacity =
        machine.below == capacity_classes().back().below ? 200_GiB : machine.below - Bytes{1};
    apply_capacity_defaults(config, machine.unified ? Capacities{.unified = capacity}
                                                    : Capacities{.largest_device = capacity});
    for (const CapacityDefault& given : machine.defaults) {
      const std::string source = setting_of(config, given.path);
      EXPECT_TRUE(source.starts_with(std::string(given.value) + " from default"))
          << machine.name << ": " << given.path << ": " << source;
    }
    EXPECT_FALSE(machine.why.empty());
  }
}

TEST(CapacityDefaults, TheTableInDocsIsUpToDate) {
  std::ifstream stream(std::string(TONNAGE_SOURCE_DIR) + "/docs/howto/memory-by-machine.md");
  const std::string page{std::istreambuf_iterator<char>(stream), {}};
  EXPECT_NE(page.find(capacity_reference() + "<!-- end -->"), std::string::npos)
      << "put this between the two comments of docs/howto/memory-by-machine.md:\n"
      << capacity_reference();
}

}  // namespace
}  // namespace tonnage
