#include "probe/gpu/injected.h"

#include <gtest/gtest.h>

#include "probe/fixture_tree.h"
#include "probe/gpu/device_probe.h"
#include "probe/gpu/mutations.h"

namespace tonnage {
namespace {

constexpr std::string_view kFile = R"({"sequence": 7, "devices": [
  {"id": "GPU-a", "name": "a card", "pci": "0000:08:00.0", "total_bytes": 8589934592,
   "reserved_bytes": 104857600, "used_bytes": 1073741824, "unified": false,
   "processes": [{"pid": 7, "bytes": 1048576}, {"pid": 8}]}]})";

TEST(Injected, ReadsWhatTheFileSays) {
  const auto devices = parse_injected(kFile);
  ASSERT_TRUE(devices) << devices.error().text();
  ASSERT_EQ(devices->readings.size(), 1U);
  const DeviceSample& sample = devices->readings[0].sample;
  EXPECT_EQ(devices->sequence, 7);
  EXPECT_EQ(sample.id, "GPU-a");
  EXPECT_EQ(sample.total, 8_GiB);
  EXPECT_EQ(sample.used, 1_GiB);
  EXPECT_EQ(sample.free, 7_GiB - 100_MiB);
  EXPECT_EQ(sample.processes, (std::vector<DeviceProcess>{{7, 1_MiB}, {8, std::nullopt}}));
  EXPECT_EQ(sample.source, "injected");
}

TEST(Injected, NamesWhatIsWrong) {
  for (const char* text :
       {"", "[]", "{}", R"({"devices": 1})", R"({"devices": [1]})", R"({"devices": [{}]})",
        R"({"devices": [{"id": "a", "total_bytes": "8"}]})",
        R"({"devices": [{"id": "a", "total_bytes": 18446744073709551615}]})",
        R"({"devices": [{"id": "a", "used_bytes": 1.5}]})",
        R"({"devices": [{"id": "a", "processes": [{"pid": 0}]}]})",
        R"({"sequence": "x", "devices": []})"}) {
    const auto devices = parse_injected(text);
    ASSERT_FALSE(devices) << text;
    EXPECT_FALSE(devices.error().why.empty()) << text;
  }
  EXPECT_EQ(parse_injected(R"({"devices": [{"id": "a", "total_bytes": "8"}]})").error().why,
            "a.total_bytes is no integer");
}

TEST(Injected, ASequenceThatGoesBackIsNotBelieved) {
  FixtureTree tree;
  tree.file("/devices.json", kFile);
  InjectedSource source(tree.path("/devices.json"));
  EXPECT_TRUE(source.read());
  EXPECT_TRUE(source.read());
  tree.file("/devices.json", R"({"sequence": 6, "devices": []})");
  EXPECT_EQ(source.read().error().why, "its sequence went back from 7 to 6");
  tree.remove("/devices.json");
  EXPECT_FALSE(source.read());
  tree.file("/devices.json", R"({"sequence": 8, "devices": []})");
  EXPECT_TRUE(source.read());
}

TEST(Injected, MutatedFilesAreReadOrRefused) {
  Prng random(2);
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = mutated(std::string(kFile), random);
    if (const auto devices = parse_injected(text)) {
      for (const DeviceReading& reading : devices->readings) {
        EXPECT_FALSE(reading.sample.id.empty()) << text;
        nonsense_in(reading.sample);
      }
    }
  }
}

}  // namespace
}  // namespace tonnage
