#include "config/device_pools.h"

#include <gtest/gtest.h>

#include "config/config_text.h"

namespace tonnage {
namespace {

const DevicePool kCard{.name = "gpu0", .id = "GPU-1-2", .capacity = 12_GiB};
const DevicePool kOther{.name = "gpu1", .id = "0000:08:00.0", .capacity = 8_GiB};
const DevicePool kBuiltIn{
    .name = "gpu1", .id = "0000:00:02.0", .capacity = 32_GiB, .unified = true};

Config with(const std::string& yaml, std::vector<DevicePool> found) {
  Config config = config_of(yaml + "\n" + kOneModel);
  apply_devices(config, std::move(found));
  return config;
}

TEST(DevicePools, EveryDeviceHasAPoolWithTheBudgetOfAll) {
  const Config config = with("budgets: {gpu: {reserve: 2GiB, max: 80%}}", {kCard, kOther});
  ASSERT_EQ(config.policy.pools.size(), 3U);
  EXPECT_EQ(config.policy.pools[0].name, "host");
  EXPECT_EQ(config.policy.pools[1],
            (PoolPolicy{.name = "gpu0", .reserve = {.size = 2_GiB}, .max_permille = 800}));
  EXPECT_EQ(config.policy.pools[2].name, "gpu1");
  EXPECT_EQ(config.policy.unified_devices, 0);
  EXPECT_EQ(config.devices.size(), 2U);
}

TEST(DevicePools, OneDeviceIsToldApartByPoolOrId) {
  const Config config = with(
      "budgets:\n  gpu: {max: 90%}\n  devices:\n    gpu0: {limit: 6GiB, max: 50%}\n"
      "    '0000:08:00.0': {reserve: 1GiB, deficit_tolerance: 1GiB}\n    GPU-1-2: {max: 60%}\n",
      {kCard, kOther});
  // The id is nearer to a device than its place in a list.
  EXPECT_EQ(config.policy.pools[1].max_permille, 600);
  EXPECT_EQ(config.policy.pools[1].limit, 6_GiB);
  EXPECT_EQ(config.policy.pools[2].max_permille, 900);
  EXPECT_EQ(config.policy.pools[2].reserve, (Reserve{.permille = {}, .size = 1_GiB}));
  EXPECT_EQ(config.policy.pools[2].deficit_tolerance, 1_GiB);
}

TEST(DevicePools, ADeviceWithoutMemoryOfItsOwnIsNoPool) {
  const Config shared = with("", {kBuiltIn});
  EXPECT_EQ(shared.policy.pools.size(), 1U);
  EXPECT_EQ(shared.policy.unified_devices, 1);
  // Beside a card, the graphics of the processor are left alone.
  const Config beside = with("", {kCard, kBuiltIn});
  EXPECT_EQ(beside.policy.pools.size(), 2U);
  EXPECT_EQ(beside.policy.unified_devices, 0);
  EXPECT_EQ(beside.devices, std::vector<DevicePool>{kCard});
}

TEST(DevicePools, NoneWithCpu) {
  const Config config = with("cpu: true", {kCard});
  EXPECT_EQ(config.policy.pools.size(), 1U);
  EXPECT_TRUE(config.devices.empty());
  EXPECT_EQ(config.policy, config_of("cpu: true\n" + std::string(kOneModel)).policy);
}

TEST(DevicePools, TwiceIsAsGoodAsOnce) {
  Config config = with("", {kCard, kOther});
  const Policy once = config.policy;
  apply_devices(config, {kCard, kOther});
  EXPECT_EQ(config.policy, once);
}

TEST(DevicePools, DryRunsReserveTheLargestContext) {
  DevicePool other = kOther;
  other.context = 100_MiB;
  DevicePool card = kCard;
  card.context = 450_MiB;
  EXPECT_EQ(with("", {other, card}).policy.load.profile_device_reservation, 450_MiB);
  EXPECT_EQ(with("", {}).policy.load.profile_device_reservation, 0_B);
}

TEST(DevicePools, AModelWithoutLayersOnGpusIsOfTheHostOnly) {
  const auto host_only = [](const std::string& keys) {
    Config config = config_of("models: {a: {gguf: /a.gguf" + keys + "}}\n");
    apply_devices(config, {kCard});
    return config.policy.models.at(0).host_only;
  };
  EXPECT_FALSE(host_only(""));
  EXPECT_TRUE(host_only(", gpu_layers: 0"));
  EXPECT_FALSE(host_only(", gpu_layers: 8"));
  EXPECT_TRUE(host_only(", gpu_layers: 0, ladder: [{context: 1024}]"));
  EXPECT_FALSE(host_only(", ladder: [{gpu_layers: 0}]"));
}

TEST(DevicePools, MistakesAreNamedWithTheirPlace) {
  const auto wrong = [](const std::string& yaml) { return problems_of(yaml + "\n" + kOneModel); };
  EXPECT_EQ(
      wrong("budgets: {devices: {gpu0: {limt: 1GiB}}}"),
      "tonnage.yaml:1:28: unknown key 'limt' in budgets.devices.gpu0; did you mean 'limit'?\n");
  EXPECT_EQ(wrong("budgets: {devices: {gpu0: 6GiB}}"),
            "tonnage.yaml:1:21: budgets.devices.gpu0: '6GiB' is given, but a map such as {limit: "
            "6GiB} is wanted\n");
  EXPECT_EQ(wrong("budgets: {devices: [gpu0]}"),
            "tonnage.yaml:1:20: budgets.devices: a list is given, but a map from devices to their "
            "keys is wanted\n");
  EXPECT_EQ(wrong("budgets: {devices: {gpu0: {max: 1%}, gpu0: {max: 2%}}}"),
            "tonnage.yaml:1:38: budgets.devices: 'gpu0' is named twice\n");
}

}  // namespace
}  // namespace tonnage
