#include "probe/gpu/vulkan.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "probe/fixture_tree.h"
#include "probe/gpu/device_probe.h"
#include "probe/gpu/mutations.h"

namespace tonnage {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr std::string_view kList =
    "WARNING: lavapipe is not a conformant vulkan implementation, testing use only.\n"
    "vulkan-device\tdiscrete\t8086\t868056a5-0800-0000-0300-000000000000\t0000:03:00.0\t"
    "16225243136\t15000000000\tIntel(R) Arc(tm) A770 Graphics (DG2)\n"
    "vulkan-device\tdiscrete\t10de\t11111111-2222-3333-4444-555555555555\t0000:08:00.0\t"
    "8589934592\t-\tNVIDIA GeForce RTX 4060\n"
    "vulkan-device\tintegrated\t1002\t00000000-c600-0000-0000-000000000000\t-\t"
    "17179869184\t8589934592\tAMD Radeon Graphics (RADV)\n"
    "vulkan-device\tsoftware\t10005\t6d657361-3232-2e33-2e36-000000000000\t-\t"
    "16742825984\t16000000000\tllvmpipe (LLVM 15.0.6, 256 bits)\n"
    "vulkan-devices 4\n";

std::vector<DeviceReading> read_list(std::string_view text, bool software = false) {
  auto readings = parse_vulkan_devices(text, software);
  EXPECT_TRUE(readings) << readings.error().text();
  return readings ? std::move(*readings) : std::vector<DeviceReading>{};
}

TEST(Vulkan, DevicesOfEveryKindButSoftware) {
  const auto readings = read_list(kList);
  ASSERT_EQ(readings.size(), 3U);
  const DeviceSample& intel = readings[0].sample;
  EXPECT_EQ(intel.id, "0000:03:00.0");
  EXPECT_EQ(intel.pci, "0000:03:00.0");
  EXPECT_EQ(intel.name, "Intel(R) Arc(tm) A770 Graphics (DG2)");
  EXPECT_EQ(intel.total, Bytes(16'225'243'136));
  EXPECT_EQ(intel.free, Bytes(15'000'000'000));
  EXPECT_EQ(intel.used, Bytes(1'225'243'136));
  EXPECT_FALSE(intel.unified);
  EXPECT_FALSE(intel.processes_known);
  // Without a budget nobody knows what is free; llama.cpp would say all of it.
  const DeviceSample& nvidia = readings[1].sample;
  EXPECT_EQ(nvidia.id, "GPU-11111111-2222-3333-4444-555555555555");
  EXPECT_EQ(nvidia.total, 8_GiB);
  EXPECT_FALSE(nvidia.free || nvidia.used);
  const DeviceSample& shared = readings[2].sample;
  EXPECT_EQ(shared.id, "vulkan-00000000-c600-0000-0000-000000000000");
  EXPECT_TRUE(shared.unified);
  EXPECT_FALSE(shared.free || shared.used);
}

TEST(Vulkan, SoftwareDevicesCountWhenAskedFor) {
  EXPECT_EQ(read_list(kList, true).size(), 4U);
}

TEST(Vulkan, HalfAListIsNotBelieved) {
  for (const char* text : {
           "",
           "vulkan-devices 1\n",
           "vulkan-devices\n",
           "vulkan-device\tdiscrete\t8086\tu\t-\t1\t1\tx\n",
           "vulkan-device\tdiscrete\t8086\tu\t-\t1\t1\tx\nvulkan-devices 2\n",
           "vulkan-device\tdiscrete\t8086\tu\t-\tmany\t1\tx\nvulkan-devices 1\n",
           "vulkan-device\tdiscrete\t8086\tu\t-\t1\t-1\tx\nvulkan-devices 1\n",
           "vulkan-device\tnew\t8086\tu\t-\t1\t1\tx\nvulkan-devices 1\n",
           "vulkan-device\tdiscrete\nvulkan-devices 1\n",
       })
    EXPECT_FALSE(parse_vulkan_devices(text, false)) << text;
  EXPECT_TRUE(read_list("vulkan-devices 0\n").empty());
}

TEST(Vulkan, MutatedListsAreReadOrRefused) {
  Prng random(11);
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = mutated(std::string(kList), random);
    if (const auto readings = parse_vulkan_devices(text, true)) {
      for (const DeviceReading& reading : *readings)
        EXPECT_EQ(nonsense_in(reading.sample), "") << text;
    }
  }
}

// A program for a helper that counts how often it was started.
struct CountedProgram {
  explicit CountedProgram(const std::string& commands) {
    tree.file("/helper", "#!/bin/sh\necho x >> " + tree.path("/runs") + "\n" + commands);
    std::filesystem::permissions(tree.path("/helper"), std::filesystem::perms::owner_all);
    tree.file("/list", kList);
    options.helper = {tree.path("/helper")};
    options.now = [this] { return time; };
  }
  int runs() const {
    std::ifstream stream(tree.path("/runs"));
    return static_cast<int>(
        std::count(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>(), 'x'));
  }

  FixtureTree tree;
  VulkanSource::Clock::time_point time{1h};
  VulkanSource::Options options;
};

TEST(VulkanSource, AnAnswerHoldsForAWhile) {
  CountedProgram helper("cat ${0%helper}list\n");
  VulkanSource source(helper.options);
  ASSERT_TRUE(source.read());
  EXPECT_EQ(source.read()->size(), 3U);
  EXPECT_EQ(helper.runs(), 1);
  helper.time += 11s;
  EXPECT_EQ(source.read()->size(), 3U);
  EXPECT_EQ(helper.runs(), 2);
}

TEST(VulkanSource, WithoutAGpuItIsAskedSeldom) {
  CountedProgram helper("echo vulkan-devices 0\n");
  VulkanSource source(helper.options);
  EXPECT_TRUE(source.read()->empty());
  helper.time += 60s;
  EXPECT_TRUE(source.read()->empty());
  EXPECT_EQ(helper.runs(), 1);
  helper.time += 300s;
  EXPECT_TRUE(source.read()->empty());
  EXPECT_EQ(helper.runs(), 2);
}

TEST(VulkanSource, AHelperThatCrashesIsAProblemOfItsOwn) {
  CountedProgram helper("echo 'no driver' >&2; kill -SEGV $$\n");
  VulkanSource source(helper.options);
  const auto crashed = source.read();
  ASSERT_FALSE(crashed);
  EXPECT_EQ(source.read().error().text(), crashed.error().text());
  EXPECT_EQ(helper.runs(), 1);
}

TEST(VulkanSource, AHelperThatHangsIsEnded) {
  CountedProgram helper("exec sleep 600\n");
  helper.options.timeout = 200ms;
  VulkanSource source(helper.options);
  const auto hung = source.read();
  ASSERT_FALSE(hung);
  EXPECT_THAT(hung.error().text(), HasSubstr("200"));
}

}  // namespace
}  // namespace tonnage
