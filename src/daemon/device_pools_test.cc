#include "daemon/device_pools.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/survey_fixture.h"

namespace tonnage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

SurveyedDevice device(const std::string& id, Bytes total, bool unified = false) {
  DeviceSample sample;
  sample.id = id;
  sample.name = "card " + id;
  sample.total = total;
  sample.used = 0_B;
  sample.free = total;
  sample.unified = unified;
  return {sample, {}};
}

const std::vector<LlamaDevice> kCudaDevices = {{"CUDA0", ""}};

TEST(DevicePools, EachCardWithMemoryOfItsOwnIsAPool) {
  SurveyedDevice blind = device("GPU-c", 4_GiB);
  blind.sample.used.reset();
  const DevicePools pools(survey_of({device("GPU-a", 8_GiB), device("GPU-u", 64_GiB, true), blind,
                                     device("0000:09:00.0", 1_GiB), device("GPU-b", 24_GiB)}),
                          kCudaDevices);
  EXPECT_THAT(pools.found(), ElementsAre(DevicePool{"gpu0", "GPU-a", 8_GiB, false, kCudaContext},
                                         DevicePool{"gpu1", "GPU-b", 24_GiB, false, kCudaContext}));
  EXPECT_THAT(pools.left_out(), ElementsAre(HasSubstr("nothing tells its memory"),
                                            HasSubstr("the engine cannot use it"),
                                            HasSubstr("shares the host's memory")));
}

TEST(DevicePools, GpusThatShareTheHostsMemoryMakeNoPool) {
  const DevicePools pools(survey_of({device("GPU-u", 18_GiB, true)}), kCudaDevices);
  EXPECT_THAT(pools.found(), ElementsAre(DevicePool{"gpu0", "GPU-u", 18_GiB, true, kCudaContext}));
  const std::vector<PoolId> on = {kHostPool};
  EXPECT_EQ(pools.visible(on).env.front(), "CUDA_VISIBLE_DEVICES=GPU-u");
}

TEST(DevicePools, AServerSeesItsPoolsInItsOrder) {
  const DevicePools pools(
      survey_of({device("GPU-a", 8_GiB), device("GPU-b", 24_GiB), device("GPU-c", 8_GiB)}),
      kCudaDevices);
  const std::vector<PoolId> two = {PoolId(3), PoolId(2)};
  const VisibleGpus visible = pools.visible(two);
  EXPECT_EQ(visible.env.front(), "CUDA_VISIBLE_DEVICES=GPU-c,GPU-b");
  // As the footprint of a split over two was worked out, whichever two they are.
  EXPECT_THAT(visible.shares, ElementsAre(24_GiB, 8_GiB));
  EXPECT_EQ(pools.visible_for_dry_run(2).env.front(), "CUDA_VISIBLE_DEVICES=GPU-b,GPU-a");
  EXPECT_EQ(pools.visible_for_dry_run(2).shares, visible.shares);
  EXPECT_EQ(pools.visible({}).env.front(), "CUDA_VISIBLE_DEVICES=");
}

TEST(DevicePools, NothingIsSplitOverMigInstances) {
  const DevicePools pools(survey_of({device("MIG-a", 10_GiB), device("MIG-b", 20_GiB)}),
                          kCudaDevices);
  EXPECT_THAT(pools.found(), testing::SizeIs(2));
  EXPECT_THAT(pools.space().capacities, ElementsAre(20_GiB));
  const std::vector<PoolId> on = {PoolId(1)};
  EXPECT_EQ(pools.visible(on).env.front(), "CUDA_VISIBLE_DEVICES=MIG-a");
  EXPECT_EQ(pools.visible_for_dry_run(1).env.front(), "CUDA_VISIBLE_DEVICES=MIG-b");
}

TEST(DevicePools, WithoutAnEngineThatCanUseThemThereAreNone) {
  const DevicePools pools(survey_of({device("GPU-a", 8_GiB)}), {});
  EXPECT_FALSE(pools.any());
  EXPECT_THAT(DevicePools().left_out(), IsEmpty());
}

}  // namespace
}  // namespace tonnage
