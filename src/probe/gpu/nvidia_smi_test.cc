#include "probe/gpu/nvidia_smi.h"

#include <gtest/gtest.h>

#include "probe/gpu/device_probe.h"
#include "probe/gpu/mutations.h"

namespace tonnage {
namespace {

constexpr std::string_view kTwo =
    "GPU-a, 00000000:08:00.0, 8192, 300, 1024, 6868, NVIDIA GeForce RTX 4060, Laptop\n"
    "GPU-b, 00000001:0A:00.0, 24576, [N/A], 0, 24576, NVIDIA RTX 4090\r\n";

TEST(NvidiaSmi, ReadsALinePerGpu) {
  const auto readings = parse_smi_gpus(kTwo);
  ASSERT_TRUE(readings) << readings.error().text();
  ASSERT_EQ(readings->size(), 2U);
  const DeviceSample& first = (*readings)[0].sample;
  EXPECT_EQ(first.id, "GPU-a");
  EXPECT_EQ(first.pci, "0000:08:00.0");
  EXPECT_EQ(first.name, "NVIDIA GeForce RTX 4060, Laptop");
  EXPECT_EQ(first.total, 8_GiB);
  EXPECT_EQ(first.reserved, 300_MiB);
  EXPECT_EQ(first.used, 1_GiB);
  EXPECT_EQ(first.free, 6868_MiB);
  const DeviceSample& second = (*readings)[1].sample;
  EXPECT_EQ(second.pci, "0001:0a:00.0");
  EXPECT_EQ(second.reserved, std::nullopt);
  EXPECT_EQ(second.name, "NVIDIA RTX 4090");
}

TEST(NvidiaSmi, WhatIsNotToldIsAProblemAndNotZero) {
  const auto readings =
      parse_smi_gpus("GPU-a, 0000000F:01:00.0, [N/A], [N/A], [N/A], [N/A], NVIDIA GB10\n");
  ASSERT_TRUE(readings);
  EXPECT_EQ(readings->front().sample.total, std::nullopt);
  EXPECT_TRUE(readings->front().memory_not_supported);
  EXPECT_FALSE(readings->front().problem.empty());
}

TEST(NvidiaSmi, HalfATableIsNotBelieved) {
  EXPECT_FALSE(parse_smi_gpus(std::string(kTwo) + "Unable to determine the device handle\n"));
  EXPECT_FALSE(parse_smi_gpus("GPU-a, 00000000:08:00.0, 8192, 300\n"));
  EXPECT_FALSE(parse_smi_gpus("GPU-a, 00000000:08:00.0, -1, 0, 0, 0, x\n"));
  EXPECT_FALSE(parse_smi_gpus("GPU-a, 00000000:08:00.0, 99999999999999999, 0, 0, 0, x\n"));
  EXPECT_FALSE(parse_smi_gpus("No devices were found\n"));
  EXPECT_TRUE(parse_smi_gpus("")->empty());
}

TEST(NvidiaSmi, ReadsProcessesWithAndWithoutTheirBytes) {
  const auto processes = parse_smi_processes("GPU-a, 7, 512\nGPU-b, 8, [N/A]\n");
  ASSERT_TRUE(processes);
  EXPECT_EQ(*processes,
            (std::vector<SmiProcess>{{"GPU-a", {7, 512_MiB}}, {"GPU-b", {8, std::nullopt}}}));
  EXPECT_FALSE(parse_smi_processes("GPU-a, seven, 512\n"));
  EXPECT_FALSE(parse_smi_processes("GPU-a, 0, 512\n"));
}

TEST(NvidiaSmi, MutatedOutputIsReadOrRefused) {
  Prng random(1);
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = mutated(std::string(kTwo), random);
    if (const auto readings = parse_smi_gpus(text)) {
      for (const DeviceReading& reading : *readings) {
        EXPECT_FALSE(reading.sample.id.empty()) << text;
        nonsense_in(reading.sample);
      }
    } else {
      EXPECT_FALSE(readings.error().why.empty()) << text;
    }
    parse_smi_processes(text);
  }
}

TEST(QuickProgram, HandsOverWhatIsPrintedAndSaysHowItFailed) {
  using std::chrono::milliseconds;
  constexpr milliseconds kLong{60'000};
  QuickProgram program;
  EXPECT_EQ(program.run({"sh", "-c", "echo a; echo b >&2"}, kLong, 100).value_or(""), "a\nb\n");
  EXPECT_EQ(program.run({"sh", "-c", "echo no; exit 3"}, kLong, 100).error().why,
            "it ended with status 3: no");
  EXPECT_EQ(program.run({"sh", "-c", "kill -9 $$"}, kLong, 100).error().why,
            "it was ended by signal 9");
  EXPECT_EQ(program.run({"sh", "-c", "echo 12345"}, kLong, 5).error().why,
            "it printed more than 5 bytes");
  EXPECT_EQ(program.run({"cat", "/dev/zero"}, kLong, 100'000).error().why,
            "it printed more than 100000 bytes");
  EXPECT_FALSE(program.run({"tonnage-no-such-program"}, kLong, 100));
  EXPECT_EQ(program.run({"tail", "-f", "/dev/null"}, milliseconds(20), 100).error().why,
            "no answer within 20 ms");
}

// Its output is closed long before its end: a reader that waits for the end only would hang.
TEST(QuickProgram, TheTimeLimitHoldsForAProgramThatClosedItsOutput) {
  EXPECT_EQ(QuickProgram()
                .run({"sh", "-c", "exec tail -f /dev/null >/dev/null 2>&1"},
                     std::chrono::milliseconds(50), 100)
                .error()
                .why,
            "no answer within 50 ms");
}

}  // namespace
}  // namespace tonnage
