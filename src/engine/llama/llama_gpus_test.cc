#include "engine/llama/llama_gpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tonnage {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

using Words = std::vector<std::string>;

TEST(LlamaGpus, CudaDevicesAreChosenByUuid) {
  const std::vector<GpuName> gpus = {{"GPU-b", "small"}, {"0000:09:00.0", "other"}, {"MIG-a", ""}};
  const std::vector<LlamaDevice> devices = {{"Vulkan0", "small"}, {"CUDA0", "large"}};
  const LlamaGpus matched = match_gpus(gpus, devices);
  EXPECT_EQ(matched.choice, GpuChoice::by_uuid);
  EXPECT_THAT(matched.selectors, ElementsAre(Optional<std::string>("GPU-b"), std::nullopt,
                                             Optional<std::string>("MIG-a")));
}

TEST(LlamaGpus, OthersAreFoundByTheirDescriptionAndThenInOrder) {
  const std::vector<GpuName> gpus = {{"0000:01:00.0", ""}, {"0000:02:00.0", "large"}, {"x", ""}};
  const std::vector<LlamaDevice> devices = {
      {"Vulkan0", "large"}, {"Vulkan1", "small"}, {"SYCL0", "small"}};
  const LlamaGpus matched = match_gpus(gpus, devices);
  EXPECT_EQ(matched.choice, GpuChoice::by_name);
  EXPECT_THAT(matched.selectors, ElementsAre(Optional<std::string>("Vulkan1"),
                                             Optional<std::string>("Vulkan0"), std::nullopt));
}

TEST(LlamaGpus, AnEngineWithoutDevicesUsesNone) {
  const std::vector<GpuName> gpus = {{"GPU-a", ""}};
  EXPECT_THAT(match_gpus(gpus, {}).selectors, ElementsAre(std::nullopt));
}

TEST(VisibleGpus, OnlyTheChosenOnesInTheirOrder) {
  const Words uuids = {"GPU-b", "GPU-a"};
  const std::vector<Bytes> shares = {24_GiB, 8_GiB};
  const VisibleGpus two = visible_gpus(GpuChoice::by_uuid, uuids, shares);
  EXPECT_THAT(two.env,
              ElementsAre("CUDA_VISIBLE_DEVICES=GPU-b,GPU-a", "CUDA_DEVICE_ORDER=PCI_BUS_ID"));
  EXPECT_THAT(gpu_arguments(33, two), ElementsAre("--gpu-layers", "33", "--split-mode", "layer",
                                                  "--tensor-split", "24576,8192"));
  const VisibleGpus one =
      visible_gpus(GpuChoice::by_uuid, std::span(uuids).first(1), std::span(shares).first(1));
  EXPECT_THAT(gpu_arguments(12, one), ElementsAre("--gpu-layers", "12"));
}

TEST(VisibleGpus, OtherBackEndsAreToldTheNames) {
  const Words names = {"Vulkan1"};
  const std::vector<Bytes> shares = {2_GiB};
  const VisibleGpus one = visible_gpus(GpuChoice::by_name, names, shares);
  EXPECT_THAT(one.env, IsEmpty());
  EXPECT_THAT(gpu_arguments(4, one), ElementsAre("--gpu-layers", "4", "--device", "Vulkan1"));
}

TEST(VisibleGpus, NoneMeansNone) {
  const VisibleGpus none = visible_gpus(GpuChoice::by_name, {}, {});
  EXPECT_THAT(none.env, ElementsAre("CUDA_VISIBLE_DEVICES="));
  EXPECT_THAT(gpu_arguments(33, none), ElementsAre("--device", "none", "--gpu-layers", "0"));
  const Words uuids = {"GPU-a"};
  const std::vector<Bytes> shares = {2_GiB};
  EXPECT_THAT(gpu_arguments(0, visible_gpus(GpuChoice::by_uuid, uuids, shares)),
              ElementsAre("--device", "none", "--gpu-layers", "0"));
}

}  // namespace
}  // namespace tonnage
