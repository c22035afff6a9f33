#include "daemon/device_account.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tonnage {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr Generation kOne{1};
constexpr Generation kTwo{2};

DeviceSample card(Bytes used, std::vector<DeviceProcess> processes = {}) {
  DeviceSample sample;
  sample.id = "GPU-a";
  sample.name = "a card";
  sample.total = 8_GiB;
  sample.reserved = 256_MiB;
  sample.used = used;
  sample.free = 8_GiB - 256_MiB - used;
  sample.processes = std::move(processes);
  sample.processes_known = true;
  sample.source = "nvml";
  return sample;
}

DeviceSample hidden(Bytes used) {
  DeviceSample sample = card(used);
  sample.processes_known = false;
  return sample;
}

DeviceSurvey survey_of_one(const DeviceSample& sample) {
  return {.devices = {{sample, {}}}, .failed = {}, .lost = {}};
}

class DeviceAccountTest : public testing::Test {
 protected:
  DeviceTruth judge(const DeviceSample& sample, std::vector<OwnTree> own,
                    std::vector<DeviceCharge> charges = {}) {
    return account_.judge(survey_of_one(sample), own, charges);
  }
  // Foreign use by what the core has charged.
  Bytes foreign(Bytes used, std::vector<DeviceCharge> charges) {
    return judge(hidden(used), {{kOne, {7}}}, std::move(charges)).pools.at(0).foreign;
  }

  std::vector<LlamaDevice> engine_ = {{"CUDA0", "a card"}};
  DevicePools pools_{survey_of_one(card(0_B)), engine_};
  DeviceAccount account_{pools_, [](std::int32_t) { return true; }};
};

TEST_F(DeviceAccountTest, OursAreTheBytesOfOurTrees) {
  const auto truth = judge(card(5_GiB, {{7, 1_GiB}, {8, 512_MiB}, {9, 2_GiB}, {50, 1_GiB}}),
                           {{kOne, {7, 8}}, {kTwo, {12}}, {std::nullopt, {9}}});
  ASSERT_THAT(truth.pools, SizeIs(1));
  EXPECT_EQ(truth.pools[0].pool, PoolId(1));
  EXPECT_EQ(truth.pools[0].capacity, 8_GiB - 256_MiB);
  EXPECT_EQ(truth.pools[0].used, 5_GiB);
  EXPECT_EQ(truth.pools[0].foreign, 5_GiB - 3584_MiB);
  EXPECT_EQ(truth.pools[0].orphaned, 512_MiB);
  EXPECT_THAT(truth.servers.at(kOne), ElementsAre(1536_MiB));
  EXPECT_THAT(truth.servers.at(kTwo), ElementsAre(0_B));
}

TEST_F(DeviceAccountTest, WhatTheDriverHoldsIsNoOrphan) {
  DeviceSample sample = card(1_GiB);
  sample.reserved.reset();
  EXPECT_EQ(judge(sample, {}).pools.at(0).orphaned, std::nullopt);
  EXPECT_EQ(judge(sample, {}).pools.at(0).capacity, 8_GiB);
}

TEST_F(DeviceAccountTest, AServerThatLoadsIsNotTakenForForeignBytes) {
  // The driver lists by our numbers, so a server without bytes has none yet.
  judge(card(1_GiB, {{7, 1_GiB}}), {{kOne, {7}}});
  const auto truth =
      judge(card(4_GiB, {{50, 4_GiB}}), {{kTwo, {12}}}, {{kTwo, {3_GiB}, 0_B, false}});
  EXPECT_EQ(truth.pools[0].foreign, 4_GiB);
}

TEST_F(DeviceAccountTest, WithoutListsTheCoresChargesStandForUs) {
  EXPECT_EQ(foreign(5_GiB, {{kOne, {3_GiB}, 0_B, true}}), 2_GiB);
  // Never more than is used.
  EXPECT_EQ(foreign(2_GiB, {{kOne, {3_GiB}, 0_B, true}}), 0_B);
  EXPECT_THAT(judge(hidden(5_GiB), {{kOne, {7}}}).servers.at(kOne), IsEmpty());
}

TEST_F(DeviceAccountTest, WhileAServerLoadsForeignUseStaysWhatItWas) {
  EXPECT_EQ(foreign(2_GiB, {}), 2_GiB);
  const std::vector<DeviceCharge> loading = {{kOne, {3_GiB}, 0_B, false}};
  EXPECT_EQ(foreign(2_GiB, loading), 2_GiB);
  EXPECT_EQ(foreign(4_GiB, loading), 2_GiB);
  EXPECT_EQ(foreign(5_GiB, loading), 2_GiB);
  // More than the server can account for.
  EXPECT_EQ(foreign(6_GiB, loading), 3_GiB);
  EXPECT_EQ(foreign(6_GiB, {{kOne, {3_GiB}, 0_B, true}}), 3_GiB);
}

TEST_F(DeviceAccountTest, NumbersOfAnotherNamespaceAreNotBelieved) {
  const auto truth =
      judge(card(5_GiB, {{4711, 5_GiB}}), {{kOne, {7}}}, {{kOne, {3_GiB}, 0_B, true}});
  EXPECT_EQ(truth.pools[0].foreign, 2_GiB);
  EXPECT_THAT(truth.servers.at(kOne), IsEmpty());
}

TEST_F(DeviceAccountTest, ALostDeviceIsToldOnceAndIsBackWithItsSample) {
  const DeviceSurvey none;
  EXPECT_THAT(account_.judge(none, {}, {}).lost, SizeIs(1));
  EXPECT_THAT(account_.judge(none, {}, {}).lost, IsEmpty());
  EXPECT_THAT(judge(card(1_GiB), {}).pools, SizeIs(1));
  EXPECT_THAT(account_.judge(none, {}, {}).lost, SizeIs(1));
}

TEST_F(DeviceAccountTest, AGpuThatTellsNothingIsNamedWithWhatItsSourcesSaid) {
  DeviceSurvey survey = survey_of_one(card(1_GiB));
  survey.devices[0].sample.used.reset();
  survey.devices[0].failed = {{"nvml", "NVML_ERROR_UNKNOWN"}};
  survey.failed = {{"nvidia-smi", "it ended with status 1"}};
  const auto truth = account_.judge(survey, {}, {});
  EXPECT_THAT(truth.pools, IsEmpty());
  EXPECT_THAT(truth.lost, IsEmpty()) << "it is there";
  ASSERT_THAT(truth.silent, SizeIs(1));
  EXPECT_EQ(
      truth.silent[0],
      (SilentPool{PoolId(1), "nvml: NVML_ERROR_UNKNOWN; nvidia-smi: it ended with status 1"}));
  EXPECT_THAT(judge(card(1_GiB), {}).silent, IsEmpty());
}

TEST_F(DeviceAccountTest, WhatOthersHeldLatelyIsExpectedAgain) {
  const std::vector<OwnTree> own = {{kOne, {7}}};
  const auto expected = [&](Duration at, std::vector<DeviceProcess> others) {
    others.push_back({7, 1_GiB});
    const DeviceSample sample = card(4_GiB, std::move(others));
    return account_.judge(survey_of_one(sample), own, {}, Tick(at)).pools.at(0).expected;
  };
  EXPECT_EQ(expected(0s, {{50, 3_GiB}}), 0_B);
  EXPECT_EQ(expected(1s, {{50, 1_GiB}}), 2_GiB);
  EXPECT_EQ(expected(2s, {}), 3_GiB);
}

TEST_F(DeviceAccountTest, WhatADryRunHoldsIsNotForeign) {
  const auto told = [&](const DeviceSample& sample, std::span<const DeviceCharge> charges) {
    const std::vector<OwnTree> own = {{std::nullopt, {9}}};
    return account_.judge(survey_of_one(sample), own, charges).pools.at(0).foreign;
  };
  ModelSnapshot model;
  model.state = ResidencyState::profiling;
  model.device_reserved = {450_MiB};
  Snapshot snapshot;
  snapshot.models = {model};
  const std::vector<DeviceCharge> charged = charges_of(snapshot);
  EXPECT_EQ(told(hidden(2_GiB), {}), 2_GiB);
  EXPECT_EQ(told(hidden(2_GiB + 300_MiB), charged), 2_GiB) << "without lists it stays as it was";
  EXPECT_EQ(told(hidden(3_GiB), charged), 3_GiB - 450_MiB);
  EXPECT_EQ(told(hidden(3_GiB), {}), 3_GiB) << "what it leaves behind is nobody's";
  EXPECT_EQ(told(card(2_GiB + 300_MiB, {{50, 2_GiB}, {9, 300_MiB}}), charged), 2_GiB);
}

TEST_F(DeviceAccountTest, WithoutNumbersThereIsNoSample) {
  judge(card(1_GiB, {{7, 1_GiB}}), {{kOne, {7}}});
  DeviceSample sample = card(1_GiB);
  sample.used.reset();
  const auto truth = judge(sample, {{kOne, {7}}});
  EXPECT_THAT(truth.pools, IsEmpty());
  EXPECT_THAT(truth.lost, IsEmpty());
  EXPECT_THAT(truth.servers.at(kOne), IsEmpty());
  EXPECT_THAT(account_.judge({}, std::vector<OwnTree>{{kOne, {7}}}, {}).servers.at(kOne),
              IsEmpty());
}

TEST(DeviceAccountUnified, WhatAServerHoldsThereIsTheHosts) {
  DeviceSample sample = card(4_GiB, {{7, 1_GiB}});
  sample.unified = true;
  const std::vector<LlamaDevice> engine = {{"CUDA0", "a card"}};
  const DevicePools pools(survey_of_one(sample), engine);
  ASSERT_THAT(pools.devices(), IsEmpty());
  DeviceAccount account(pools);
  const std::vector<OwnTree> own = {{kOne, {7}}, {kTwo, {8}}};
  const auto truth = account.judge(survey_of_one(sample), own, {});
  EXPECT_THAT(truth.pools, IsEmpty());
  EXPECT_EQ(truth.in_host.at(kOne), 1_GiB);
  EXPECT_FALSE(truth.in_host.contains(kTwo));
}

TEST_F(DeviceAccountTest, WhatADriverHoldsInTheHostIsTheServersAndNotTheCards) {
  const auto truth = judge(card(3_GiB, {{7, 2_GiB, 300_MiB}, {50, 1_GiB, 1_GiB}}), {{kOne, {7}}});
  EXPECT_EQ(truth.pools.at(0).foreign, 1_GiB);
  EXPECT_THAT(truth.servers.at(kOne), ElementsAre(2_GiB));
  EXPECT_EQ(truth.in_host.at(kOne), 300_MiB);
  EXPECT_THAT(truth.in_host, SizeIs(1));
}

}  // namespace
}  // namespace tonnage
