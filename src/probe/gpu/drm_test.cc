#include "probe/gpu/drm.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "probe/fixture_tree.h"
#include "probe/gpu/drm_fdinfo.h"
#include "probe/gpu/kfd.h"
#include "probe/gpu/mutations.h"

namespace tonnage {
namespace {

using testing::HasSubstr;

constexpr std::string_view kAmd =
    "pos:\t0\nflags:\t02100002\ndrm-driver:\tamdgpu\ndrm-client-id:\t33\n"
    "drm-pdev:\t0000:08:00.0\ndrm-memory-vram:\t2048 KiB\ndrm-memory-gtt: \t64 KiB\n"
    "drm-resident-vram:\t3 MiB\ndrm-total-vram:\t9 MiB\n";

TEST(DrmFdinfo, TheBestKeyOfARegionCounts) {
  const auto client = parse_drm_fdinfo(kAmd);
  ASSERT_TRUE(client);
  EXPECT_EQ(client->driver, "amdgpu");
  EXPECT_EQ(client->pci, "0000:08:00.0");
  EXPECT_EQ(client->client, 33);
  EXPECT_EQ(client->regions.at("vram"), 3_MiB);
  EXPECT_EQ(client->regions.at("gtt"), 64_KiB);
  EXPECT_EQ(client->device_bytes(), 3_MiB);
}

TEST(DrmFdinfo, IntelNamesItsRegionsDifferently) {
  const auto xe = parse_drm_fdinfo(
      "drm-driver: xe\ndrm-client-id: 1\ndrm-resident-vram0: 512 KiB\ndrm-total-system: 4 MiB\n");
  ASSERT_TRUE(xe);
  EXPECT_EQ(xe->device_bytes(), 512_KiB);
  const auto i915 =
      parse_drm_fdinfo("drm-driver: i915\ndrm-client-id: 2\ndrm-total-local0: 4096\n");
  ASSERT_TRUE(i915);
  EXPECT_EQ(i915->device_bytes(), 4096_B);
}

TEST(DrmFdinfo, WhatIsNoClientIsNone) {
  EXPECT_FALSE(parse_drm_fdinfo(""));
  EXPECT_FALSE(parse_drm_fdinfo("pos: 0\nflags: 02\n"));
  EXPECT_FALSE(parse_drm_fdinfo("drm-driver: amdgpu\n"));
  const auto odd = parse_drm_fdinfo(
      "drm-driver: xe\ndrm-client-id: 1\ndrm-total-vram0: -1 KiB\ndrm-total-vram1: 3 pages\n"
      "drm-total-vram2: 99999999999999999 MiB\n");
  ASSERT_TRUE(odd);
  EXPECT_TRUE(odd->regions.empty());
}

TEST(DrmFdinfo, MutatedFilesAreReadOrRefused) {
  Prng random(3);
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = mutated(std::string(kAmd), random);
    const auto client = parse_drm_fdinfo(text);
    EXPECT_GE(client ? client->device_bytes() : 0_B, 0_B) << text;
  }
}

void link(FixtureTree& tree, const std::string& path, const std::string& to) {
  const std::filesystem::path full = tree.path(path);
  std::filesystem::create_directories(full.parent_path());
  std::filesystem::create_symlink(to, full);
}

std::string add_card(FixtureTree& tree, const std::string& card, const std::string& driver,
                     const std::string& pci) {
  const std::string folder = "/sys/class/drm/" + card + "/device";
  tree.file(folder + "/uevent", "DRIVER=" + driver + "\nPCI_SLOT_NAME=" + pci + "\n");
  link(tree, folder + "/driver", "../../../bus/pci/drivers/" + driver);
  return folder;
}

void add_client(FixtureTree& tree, int pid, int fd, int client, std::string_view memory) {
  const std::string process = "/proc/" + std::to_string(pid);
  link(tree, process + "/fd/" + std::to_string(fd), "/dev/dri/renderD128");
  tree.file(process + "/fdinfo/" + std::to_string(fd),
            "drm-driver: amdgpu\ndrm-pdev: 0000:08:00.0\ndrm-client-id: " + std::to_string(client) +
                "\n" + std::string(memory));
}

FixtureTree& with_amd(FixtureTree& tree) {
  const std::string folder = add_card(tree, "card0", "amdgpu", "0000:08:00.0");
  tree.file(folder + "/mem_info_vram_total", "8589934592\n")
      .file(folder + "/mem_info_vram_used", "1073741824\n")
      .file(folder + "/mem_info_gtt_total", "17179869184\n")
      .file(folder + "/mem_info_gtt_used", "1073741824\n")
      .file(folder + "/product_name", "Radeon RX\n")
      .file("/proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 4194304 kB\n");
  return tree;
}

TEST(Drm, AnAmdCardWithWhoHoldsWhat) {
  FixtureTree tree;
  with_amd(tree).file("/sys/class/drm/card0-HDMI-A-1/status", "connected\n");
  // One client that two files share, one more of the same process, one shared with a child.
  add_client(tree, 70, 4, 1, "drm-memory-vram: 1024 KiB\n");
  add_client(tree, 70, 5, 1, "drm-memory-vram: 1024 KiB\n");
  add_client(tree, 70, 6, 2, "drm-memory-vram: 512 KiB\ndrm-memory-gtt: 4 KiB\n");
  add_client(tree, 100, 4, 1, "drm-memory-vram: 1024 KiB\n");
  link(tree, "/proc/100/fd/9", "/dev/null");
  const auto readings = DrmSource(tree.root()).read();
  ASSERT_TRUE(readings) << readings.error().text();
  ASSERT_EQ(readings->size(), 1U);
  const DeviceSample& sample = readings->front().sample;
  EXPECT_EQ(sample.id, "0000:08:00.0");
  EXPECT_EQ(sample.name, "Radeon RX");
  EXPECT_EQ(sample.total, 8_GiB);
  EXPECT_EQ(sample.used, 1_GiB);
  EXPECT_EQ(sample.free, 7_GiB);
  EXPECT_FALSE(sample.unified);
  EXPECT_EQ(sample.processes, (std::vector<DeviceProcess>{{70, 1536_KiB, 4_KiB}}));
}

// A laptop's APU: a small carve-out, and the driver puts models into the host's memory.
FixtureTree& with_apu(FixtureTree& tree, Bytes carve_out, Bytes gtt, Bytes total, Bytes available) {
  const std::string header("\x88\x00\x03\x04", 4);
  const std::string folder = "/sys/class/drm/card0/device";
  const auto bytes = [](Bytes amount) { return std::to_string(amount.count) + "\n"; };
  const auto kib = [](Bytes amount) { return std::to_string(amount.count / 1024) + " kB\n"; };
  return with_amd(tree)
      .file(folder + "/gpu_metrics", header)
      .file(folder + "/mem_info_vram_total", bytes(carve_out))
      .file(folder + "/mem_info_vram_used", bytes(256_MiB))
      .file(folder + "/mem_info_gtt_total", bytes(gtt))
      .file(folder + "/mem_info_gtt_used", bytes(3_GiB))
      .file("/proc/meminfo", "MemTotal: " + kib(total) + "MemAvailable: " + kib(available));
}

TEST(Drm, AnApuWithASmallCarveOutUsesTheHostsMemoryAndNothingIsCountedTwice) {
  FixtureTree tree;
  with_apu(tree, 512_MiB, 112_GiB, 124_GiB, 100_GiB);
  add_client(tree, 70, 4, 1, "drm-memory-vram: 64 MiB\ndrm-memory-gtt: 2048 MiB\n");
  const DeviceSample sample = DrmSource(tree.root()).read()->front().sample;
  EXPECT_TRUE(sample.unified);
  EXPECT_TRUE(sample.integrated);
  EXPECT_EQ(sample.total, 112_GiB) << "not with the carve-out";
  EXPECT_EQ(sample.free, 100_GiB);
  EXPECT_EQ(sample.used, 12_GiB);
  EXPECT_EQ(sample.processes, (std::vector<DeviceProcess>{{70, 2_GiB}}))
      << "the carve-out is not the host's memory";
  EXPECT_THAT(sample.notes.at(0),
              HasSubstr("carve-out of " + to_text(512_MiB) + " is not counted"));
}

// Strix Halo with 128 GiB, of which the firmware gave 96 GiB to the GPU.
TEST(Drm, AnApuWithALargeCarveOutHasMemoryOfItsOwn) {
  FixtureTree tree;
  with_apu(tree, 96_GiB, 15_GiB, 31_GiB, 20_GiB);
  add_client(tree, 70, 4, 1, "drm-memory-vram: 40960 MiB\ndrm-memory-gtt: 300 MiB\n");
  const DeviceSample sample = DrmSource(tree.root()).read()->front().sample;
  EXPECT_FALSE(sample.unified);
  EXPECT_TRUE(sample.integrated);
  EXPECT_EQ(sample.total, 96_GiB) << "without the host's memory, which is a pool already";
  EXPECT_EQ(sample.used, 256_MiB);
  EXPECT_EQ(sample.free, 96_GiB - 256_MiB);
  EXPECT_EQ(sample.processes, (std::vector<DeviceProcess>{{70, 40_GiB, 300_MiB}}));
}

TEST(Drm, AnApusShareOfTheHostIsBoundByTheHost) {
  FixtureTree tree;
  with_apu(tree, 512_MiB, 200_GiB, 31_GiB, 20_GiB);
  const DeviceSample sample = DrmSource(tree.root()).read()->front().sample;
  EXPECT_EQ(sample.total, 31_GiB);
  EXPECT_EQ(sample.free, 20_GiB);
}

TEST(Drm, AnApuCountsTheArcAsFree) {
  FixtureTree tree;
  with_apu(tree, 512_MiB, 112_GiB, 124_GiB, 2_GiB)
      .file("/proc/spl/kstat/zfs/arcstats",
            "c_min 4 1073741824\nsize 4 " + std::to_string((60_GiB).count) + "\n");
  EXPECT_EQ(DrmSource(tree.root()).read()->front().sample.free, 61_GiB);
}

TEST(Drm, AnApuWhoseShareIsNotReportedHasItsCarveOut) {
  FixtureTree tree;
  with_apu(tree, 4_GiB, 15_GiB, 31_GiB, 20_GiB)
      .remove("/sys/class/drm/card0/device/mem_info_gtt_total");
  const DeviceSample sample = DrmSource(tree.root()).read()->front().sample;
  EXPECT_FALSE(sample.unified);
  EXPECT_EQ(sample.total, 4_GiB);
  EXPECT_THAT(sample.notes.at(0), HasSubstr("only its carve-out is counted"));
}

TEST(Drm, AFileThatCannotBeReadIsNamed) {
  FixtureTree tree;
  with_amd(tree).remove("/sys/class/drm/card0/device/mem_info_vram_used");
  auto readings = DrmSource(tree.root()).read();
  EXPECT_THAT(readings->front().problem, HasSubstr("mem_info_vram_used"));
  tree.file("/sys/class/drm/card0/device/mem_info_vram_used", "many\n");
  readings = DrmSource(tree.root()).read();
  EXPECT_THAT(readings->front().problem, HasSubstr("it holds no number"));
  EXPECT_FALSE(DrmSource(tree.path("/none")).read());
}

TEST(Drm, IntelTellsWhatProcessesHoldAndNoTotal) {
  FixtureTree tree;
  add_card(tree, "card1", "xe", "0000:08:00.0");
  add_client(tree, 70, 4, 1, "drm-resident-vram0: 1024 KiB\n");
  const DeviceReading reading = DrmSource(tree.root()).read()->front();
  EXPECT_EQ(reading.problem, "");
  EXPECT_EQ(reading.sample.total, std::nullopt);
  EXPECT_EQ(reading.sample.processes, (std::vector<DeviceProcess>{{70, 1_MiB}}));
  EXPECT_THAT(reading.sample.notes.at(0), HasSubstr("no total"));
}

TEST(Drm, ADisplayChipIsNoGpu) {
  FixtureTree tree;
  add_card(tree, "card0", "ast", "0000:03:00.0");
  EXPECT_TRUE(DrmSource(tree.root()).read()->empty());
  add_card(tree, "card1", "nouveau", "0000:04:00.0");
  EXPECT_THAT(DrmSource(tree.root()).read()->front().problem, HasSubstr("nouveau"));
}

TEST(Kfd, ANodeIsFoundByItsPlaceOnTheBus) {
  EXPECT_EQ(parse_kfd_place("cpu_cores_count 0\nlocation_id 2048\ndomain 0\n"), "0000:08:00.0");
  EXPECT_EQ(parse_kfd_place("location_id 50689\ndomain 1\n"), "0001:c6:00.1");
  // The second partition of a card that is split.
  EXPECT_EQ(parse_kfd_place("location_id 268437504\n"), "0000:08:00.0");
  for (const char* text : {"", "location_id 0\n", "location_id\n", "location_id x\n",
                           "location_id 2048\ndomain many\n", "domain 0\n"})
    EXPECT_FALSE(parse_kfd_place(text)) << text;
}

TEST(Kfd, TheLargerOfBothNumbersCounts) {
  FixtureTree tree;
  with_amd(tree);
  add_client(tree, 100, 5, 1, "drm-memory-vram: 2048 KiB\n");
  add_client(tree, 200, 5, 2, "drm-memory-vram: 8192 KiB\n");
  const std::string kfd = "/sys/class/kfd/kfd";
  tree.file(kfd + "/topology/nodes/0/gpu_id", "0\n");
  tree.file(kfd + "/topology/nodes/0/properties", "location_id 0\ndomain 0\n");
  tree.file(kfd + "/topology/nodes/1/gpu_id", "4711\n");
  tree.file(kfd + "/topology/nodes/1/properties", "location_id 2048\ndomain 0\n");
  tree.file(kfd + "/proc/100/vram_4711", "5242880\n");
  tree.file(kfd + "/proc/200/vram_4711", "1048576\n");
  tree.file(kfd + "/proc/300/vram_4711", "3145728\n");
  tree.file(kfd + "/proc/300/vram_9", "999999\n");     // no such GPU
  tree.file(kfd + "/proc/300/sdma_4711", "999999\n");  // not memory
  tree.file(kfd + "/proc/400/vram_4711", "lots\n");
  const auto readings = DrmSource(tree.root()).read();
  ASSERT_TRUE(readings);
  ASSERT_EQ(readings->size(), 1U);
  EXPECT_EQ((*readings)[0].sample.processes,
            (std::vector<DeviceProcess>{{100, 5_MiB}, {200, 8_MiB}, {300, 3_MiB}}));
}

}  // namespace
}  // namespace tonnage
