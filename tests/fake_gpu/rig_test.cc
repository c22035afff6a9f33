// The real probes through the real dlopen, on GPUs that are a file.
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device_set.h"
#include "probe/fixture_tree.h"
#include "probe/gpu/cuda.h"
#include "probe/gpu/device_probe.h"
#include "probe/gpu/nvml.h"

namespace tonnage {
namespace {

using fake_gpu::SharedSet;
using testing::HasSubstr;

constexpr std::uint64_t kGi = std::uint64_t{1} << 30;
constexpr std::uint64_t kMi = std::uint64_t{1} << 20;
constexpr const char* kFirst = "GPU-11111111-2222-3333-4444-555555555555";
constexpr const char* kSecond = "GPU-66666666-7777-8888-9999-000000000000";

// One device file for the whole process: the libraries map it once. Each test starts it anew.
class Rig : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string name =
        (std::filesystem::temp_directory_path() / "tonnage-fake-gpu-XXXXXX").string();
    const int fd = ::mkstemp(name.data());
    ASSERT_GE(fd, 0) << "needs a writable temporary folder";
    ::close(fd);
    path_ = name;
    set_ = std::make_unique<SharedSet>(path_, true);
    ::setenv("FAKE_GPU_STATE", path_.c_str(), 1);
  }
  static void TearDownTestSuite() {
    set_.reset();
    std::filesystem::remove(path_);
  }
  void SetUp() override {
    host_.file("/proc/meminfo", "MemTotal: 18874368 kB\nMemAvailable: 8388608 kB\n");
    const auto version = set().version;
    set() = {};
    set().version = version;
  }

  static SharedSet& rig() { return *set_; }
  static fake_gpu::DeviceSet& set() { return set_->set(); }
  static std::string library(const std::string& folder, const std::string& file) {
    return std::string(FAKE_GPU_DIR) + "/" + folder + "/" + file;
  }
  static std::string nvml() { return library("current", "libnvidia-ml.so.1"); }
  static DeviceSources sources() {
    return {.root = host_.root(),
            .nvml = nvml(),
            .cuda = library("current", "libcuda.so.1"),
            .nvidia_smi = "./" + library("current", "nvidia-smi")};
  }
  static fake_gpu::Device& add_card(std::uint64_t total = 8 * kGi) {
    return rig().add_device(kFirst, "Fake RTX 8", "0000:08:00.0", total, 300 * kMi);
  }

 private:
  static inline FixtureTree host_;
  static inline std::string path_;
  static inline std::unique_ptr<SharedSet> set_;
};

TEST_F(Rig, AnEightGigabyteCardWithWhoHoldsWhat) {
  add_card();
  ASSERT_TRUE(rig().allocate(0, 100, 2 * kGi));
  ASSERT_TRUE(rig().allocate(0, 50, 1 * kGi, fake_gpu::Use::graphics));
  ASSERT_TRUE(rig().allocate(0, 100, 1 * kGi));
  const auto readings = NvmlSource(nvml()).read();
  ASSERT_TRUE(readings) << readings.error().text();
  ASSERT_EQ(readings->size(), 1U);
  const DeviceSample& sample = readings->front().sample;
  EXPECT_EQ(readings->front().problem, "");
  EXPECT_EQ(sample.id, kFirst);
  EXPECT_EQ(sample.pci, "0000:08:00.0");
  EXPECT_EQ(sample.name, "Fake RTX 8");
  EXPECT_EQ(sample.total, 8_GiB);
  EXPECT_EQ(sample.reserved, 300_MiB);
  EXPECT_EQ(sample.used, 4_GiB);
  EXPECT_EQ(sample.free, 4_GiB - 300_MiB);
  EXPECT_TRUE(sample.processes_known);
  EXPECT_EQ(sample.processes, (std::vector<DeviceProcess>{{50, 1_GiB}, {100, 3_GiB}}));
}

TEST_F(Rig, TheLargerEntriesOfTheR530DriversAreSteppedOverRight) {
  add_card();
  for (std::int32_t pid = 1; pid <= 9; ++pid)
    ASSERT_TRUE(rig().allocate(0, pid, static_cast<std::uint64_t>(pid) * 10 * kMi));
  for (const std::string folder : {"current", "r530"}) {
    const auto readings = NvmlSource(library(folder, "libnvidia-ml.so.1")).read();
    ASSERT_TRUE(readings) << readings.error().text();
    const auto& processes = readings->front().sample.processes;
    ASSERT_EQ(processes.size(), 9U) << folder;
    EXPECT_EQ(processes[8], (DeviceProcess{9, 90_MiB})) << folder;
  }
}

TEST_F(Rig, WhatTheVersionedListCannotTellTheOldOneDoes) {
  add_card();
  ASSERT_TRUE(rig().allocate(0, 7, kGi));
  rig().fail_at("nvmlDeviceGetRunningProcessDetailList", 3);
  const auto readings = NvmlSource(nvml()).read();
  EXPECT_EQ(readings->front().sample.processes, (std::vector<DeviceProcess>{{7, 1_GiB}}));
}

TEST_F(Rig, AProcessWithoutItsBytesIsKnownToBeThere) {
  add_card().hides_bytes = 1;
  ASSERT_TRUE(rig().allocate(0, 7, kGi));
  const auto readings = NvmlSource(nvml()).read();
  EXPECT_EQ(readings->front().sample.processes, (std::vector<DeviceProcess>{{7, std::nullopt}}));
}

TEST_F(Rig, AnOlderDriverTellsUseWithWhatIsReserved) {
  add_card();
  rig().fail_at("nvmlDeviceGetMemoryInfo_v2", 13);
  const auto readings = NvmlSource(nvml()).read();
  const DeviceSample& sample = readings->front().sample;
  EXPECT_EQ(sample.used, 300_MiB);
  EXPECT_EQ(sample.reserved, std::nullopt);
  EXPECT_TRUE(sample.complete());
}

TEST_F(Rig, MemoryComesBackAfterTheReleaseLag) {
  add_card();
  set().release_lag_ms = 500;
  NvmlSource source(nvml());
  ASSERT_TRUE(rig().allocate(0, 7, kGi));
  rig().release(0, 7);
  auto sample = source.read()->front().sample;
  EXPECT_EQ(sample.used, 1_GiB);
  EXPECT_TRUE(sample.processes.empty());
  set().now_ms = 500;
  EXPECT_EQ(source.read()->front().sample.used, 0_B);
}

TEST_F(Rig, ADeviceSetRefusesWhatDoesNotFitAndCountsIt) {
  add_card();
  EXPECT_FALSE(rig().allocate(0, 7, 8 * kGi));
  EXPECT_TRUE(rig().allocate(0, 7, 7 * kGi));
  EXPECT_EQ(refused(set().devices[0]), 1U);
}

TEST_F(Rig, ACardWithMigOnIsItsInstances) {
  add_card(80 * kGi).mig_mode = 1;
  for (const char* id : {"MIG-a", "MIG-b"}) {
    rig().add_device(id, "Fake MIG 1g.10gb", "0000:08:00.0", 10 * kGi).mig_parent = 0;
  }
  ASSERT_TRUE(rig().allocate(2, 7, kGi));
  const auto survey = make_device_probe(sources()).survey();
  ASSERT_EQ(survey.devices.size(), 2U);
  EXPECT_EQ(survey.devices[0].sample.id, "MIG-a");
  EXPECT_EQ(survey.devices[1].sample.id, "MIG-b");
  EXPECT_EQ(survey.devices[1].sample.used, 1_GiB);
  EXPECT_EQ(survey.devices[1].sample.total, 10_GiB);
}

TEST_F(Rig, MigWithoutAnInstanceSaysWhatToDo) {
  add_card(80 * kGi).mig_mode = 1;
  const auto readings = NvmlSource(nvml()).read();
  EXPECT_THAT(readings->front().problem, HasSubstr("nvidia-smi mig"));
}

TEST_F(Rig, EveryErrorOfTheLibraryIsNamed) {
  for (const int code : {1,  2,  3,  4,  5,  6,  8,  9,  10, 11, 12, 14, 15, 16,
                         17, 18, 19, 20, 21, 22, 23, 24, 26, 27, 28, 29, 999}) {
    SetUp();
    add_card();
    rig().fail_at("nvmlInit_v2", code);
    const auto none = NvmlSource(nvml()).read();
    ASSERT_FALSE(none) << code;
    EXPECT_THAT(none.error().why, HasSubstr("nvmlInit_v2: NVML_ERROR_")) << code;
    rig().clear_faults();
    rig().fail_at("nvmlDeviceGetMemoryInfo", code);
    rig().fail_at("nvmlDeviceGetMemoryInfo_v2", code);
    const auto readings = NvmlSource(nvml()).read();
    ASSERT_TRUE(readings) << code;
    EXPECT_THAT(readings->front().problem, HasSubstr("NVML_ERROR_")) << code;
    EXPECT_EQ(readings->front().sample.id, kFirst);
    EXPECT_EQ(readings->front().memory_not_supported, code == 3);
  }
}

TEST_F(Rig, TheOtherGpuIsMeasuredWhileOneIsLost) {
  add_card();
  rig().add_device(kSecond, "Fake RTX 24", "0000:09:00.0", 24 * kGi);
  DeviceProbe probe = make_device_probe(sources());
  ASSERT_EQ(probe.survey().devices.size(), 2U);
  rig().fail_at("nvmlDeviceGetHandleByIndex_v2", 15, 0);
  const auto survey = probe.survey();
  ASSERT_EQ(survey.devices.size(), 1U);
  EXPECT_EQ(survey.devices[0].sample.id, kSecond);
  EXPECT_TRUE(survey.devices[0].sample.complete());
  ASSERT_EQ(survey.lost.size(), 1U);
  EXPECT_EQ(survey.lost[0].id, kFirst);
  ASSERT_FALSE(survey.failed.empty());
  EXPECT_THAT(survey.failed[0].why, HasSubstr("NVML_ERROR_GPU_IS_LOST"));
  rig().clear_faults();
  EXPECT_TRUE(probe.survey().lost.empty());
}

TEST_F(Rig, ALibraryThatIsNotThereIsNoGpu) {
  const auto survey = make_device_probe({.root = sources().root,
                                         .nvml = "libtonnage-none.so.1",
                                         .cuda = "libtonnage-none-either.so.1",
                                         .nvidia_smi = "tonnage-no-nvidia-smi"})
                          .survey();
  EXPECT_TRUE(survey.devices.empty());
  ASSERT_EQ(survey.failed.size(), 4U);
  EXPECT_EQ(survey.failed[0].source, "nvml");
  EXPECT_THAT(survey.failed[0].why, HasSubstr("cannot open libtonnage-none.so.1"));
}

TEST_F(Rig, WithoutNvmlTheUseComesFromNvidiaSmi) {
  add_card();
  ASSERT_TRUE(rig().allocate(0, 7, kGi));
  rig().fail_at("nvmlInit_v2", 18);
  const auto survey = make_device_probe(sources()).survey();
  ASSERT_EQ(survey.devices.size(), 1U);
  const SurveyedDevice& device = survey.devices[0];
  EXPECT_EQ(device.sample.source, "nvidia-smi");
  EXPECT_EQ(device.sample.id, kFirst);
  EXPECT_EQ(device.sample.used, 1_GiB);
  EXPECT_EQ(device.sample.reserved, 300_MiB);
  EXPECT_EQ(device.sample.processes, (std::vector<DeviceProcess>{{7, 1_GiB}}));
  ASSERT_EQ(device.failed.size(), 2U);
  EXPECT_THAT(device.failed[0].why, HasSubstr("NVML_ERROR_LIB_RM_VERSION_MISMATCH"));
  EXPECT_EQ(device.failed[1].source, "cuda");
}

TEST_F(Rig, AnOldNvidiaSmiIsAskedWithoutWhatItDoesNotKnow) {
  add_card();
  rig().fail_at("nvmlInit_v2", 9);
  rig().fail_at("memory.reserved", 1);
  const auto survey = make_device_probe(sources()).survey();
  ASSERT_EQ(survey.devices.size(), 1U);
  EXPECT_TRUE(survey.devices[0].sample.complete());
  EXPECT_EQ(survey.devices[0].sample.reserved, std::nullopt);
}

// CUDA lists the larger card first, nvidia-smi the one with the lower address.
TEST_F(Rig, TheOrderOfASourceDoesNotMatter) {
  add_card();
  rig().add_device(kSecond, "Fake RTX 24", "0000:09:00.0", 24 * kGi);
  ASSERT_TRUE(rig().allocate(1, 7, 5 * kGi));
  rig().fail_at("nvmlInit_v2", 9);
  const auto survey = make_device_probe(sources()).survey();
  ASSERT_EQ(survey.devices.size(), 2U);
  EXPECT_EQ(survey.devices[0].sample.id, kFirst);
  EXPECT_EQ(survey.devices[0].sample.total, 8_GiB);
  EXPECT_EQ(survey.devices[0].sample.used, 0_B);
  EXPECT_EQ(survey.devices[1].sample.id, kSecond);
  EXPECT_EQ(survey.devices[1].sample.used, 5_GiB);
}

TEST_F(Rig, OneCardFallsToAWorseSourceAlone) {
  add_card();
  rig().add_device(kSecond, "Fake RTX 24", "0000:09:00.0", 24 * kGi);
  rig().fail_at("nvmlDeviceGetMemoryInfo", 999, 1);
  rig().fail_at("nvmlDeviceGetMemoryInfo_v2", 999, 1);
  const auto survey = make_device_probe(sources()).survey();
  ASSERT_EQ(survey.devices.size(), 2U);
  EXPECT_EQ(survey.devices[0].sample.source, "nvml");
  EXPECT_TRUE(survey.devices[0].failed.empty());
  EXPECT_EQ(survey.devices[1].sample.source, "nvidia-smi");
  EXPECT_THAT(survey.devices[1].failed[0].why, HasSubstr("NVML_ERROR_UNKNOWN"));
}

TEST_F(Rig, NvidiaSmiThatMisbehavesIsNamedAndCudaStillTellsTheTotal) {
  add_card();
  rig().fail_at("nvmlInit_v2", 9);
  const std::pair<fake_gpu::Smi, const char*> faults[] = {
      {fake_gpu::Smi::hangs, "no answer within"},
      {fake_gpu::Smi::prints_garbage, "it printed '"},
      {fake_gpu::Smi::fails, "Driver/library version mismatch"},
      {fake_gpu::Smi::floods, "it printed more than"}};
  for (const auto& [fault, words] : faults) {
    set().smi = fault;
    DeviceSources where = sources();
    // Long enough for a busy machine to start a program; the one that hangs costs it in full.
    where.nvidia_smi_timeout =
        std::chrono::milliseconds(fault == fake_gpu::Smi::hangs ? 50 : 60'000);
    const auto survey = make_device_probe(where).survey();
    ASSERT_EQ(survey.devices.size(), 1U) << words;
    EXPECT_EQ(survey.devices[0].sample.source, "cuda") << words;
    EXPECT_EQ(survey.devices[0].sample.total, 8_GiB) << words;
    EXPECT_FALSE(survey.devices[0].sample.complete()) << words;
    EXPECT_THAT(survey.devices[0].failed.back().why, HasSubstr(words));
  }
}

TEST_F(Rig, AUnifiedDeviceIsThePoolOfTheHost) {
  fake_gpu::Device& device = rig().add_device(kFirst, "Fake GB10", "0000:01:00.0", 18 * kGi);
  device.unified = 1;
  ASSERT_TRUE(rig().allocate(0, 7, kGi));
  DeviceProbe probe = make_device_probe(sources());
  const auto survey = probe.survey();
  ASSERT_EQ(survey.devices.size(), 1U);
  const DeviceSample& sample = survey.devices[0].sample;
  EXPECT_TRUE(sample.unified);
  EXPECT_TRUE(sample.complete());
  EXPECT_EQ(sample.source, "cuda, /proc/meminfo");
  EXPECT_EQ(sample.total, 18_GiB);
  EXPECT_EQ(sample.free, 8_GiB);
  EXPECT_EQ(sample.used, 10_GiB);
  EXPECT_EQ(sample.processes, (std::vector<DeviceProcess>{{7, 1_GiB}}));
  EXPECT_THAT(survey.devices[0].failed[0].why, HasSubstr("NVML_ERROR_NOT_SUPPORTED"));
}

TEST_F(Rig, EveryErrorOfCudaIsNamed) {
  for (const int code : {1, 2, 3, 4, 34, 46, 100, 101, 304, 801, 802, 803, 804, 999}) {
    SetUp();
    add_card();
    rig().fail_at("cuInit", code);
    const auto none = CudaSource(sources().cuda).read();
    ASSERT_FALSE(none) << code;
    EXPECT_THAT(none.error().why, HasSubstr("cuInit: CUDA_ERROR_")) << code;
    rig().clear_faults();
    rig().fail_at("cuDeviceTotalMem", code);
    const auto readings = CudaSource(sources().cuda).read();
    ASSERT_TRUE(readings) << code;
    EXPECT_THAT(readings->front().problem, HasSubstr("cuDeviceTotalMem: CUDA_ERROR_")) << code;
    EXPECT_EQ(readings->front().sample.id, kFirst);
  }
}

}  // namespace
}  // namespace tonnage
