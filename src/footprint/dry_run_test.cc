#include "footprint/dry_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tonnage {
namespace {

using testing::ElementsAre;

TEST(DryRun, ReadsTheHostAlone) {
  const auto run = parse_dry_run("Host 3144 6 48 \n");
  ASSERT_TRUE(run) << run.error().text();
  EXPECT_EQ(run->host, (DryRunRow{"Host", 3144_MiB, 6_MiB, 48_MiB}));
  EXPECT_TRUE(run->devices.empty());
}

TEST(DryRun, ReadsDevicesInTheirOrder) {
  const auto run = parse_dry_run("CUDA0 4096 512 300 \r\nVulkan1 10 20 30\nHost 400 0 24\n");
  ASSERT_TRUE(run) << run.error().text();
  EXPECT_THAT(run->devices, ElementsAre(DryRunRow{"CUDA0", 4096_MiB, 512_MiB, 300_MiB},
                                        DryRunRow{"Vulkan1", 10_MiB, 20_MiB, 30_MiB}));
}

TEST(DryRun, SkipsWhatIsNoRow) {
  const auto run = parse_dry_run(
      "warning: something\n0.00.004 I llama_fit_params: printing (device, model) ...\n"
      "Host 4 1 x\nHost 4 1\nHost 4 1 5 6\n\nHost 4 1 5");
  ASSERT_TRUE(run) << run.error().text();
  EXPECT_EQ(run->host.compute, 5_MiB);
}

TEST(DryRun, RefusesAnAnswerWithoutSense) {
  const auto why = [](std::string_view output) {
    const auto run = parse_dry_run(output);
    return run ? "it was accepted" : run.error().why;
  };
  EXPECT_EQ(why(""), "there is no line for the host in it");
  EXPECT_EQ(why("CUDA0 1 2 3\n"), "there is no line for the host in it");
  EXPECT_EQ(why("Host 1 2 3\nHost 1 2 3\n"), "two lines for the host");
  EXPECT_EQ(why("Host 99999999999999999999 2 3\n"),
            "an absurd amount in the line \"Host 99999999999999999999 2 3\"");
  EXPECT_EQ(why("Host 1 2 999999999\n"), "an absurd amount in the line \"Host 1 2 999999999\"");
  std::string many;
  for (int i = 0; i < 100; ++i)
    many += "X" + std::to_string(i) + " 1 1 1\n";
  EXPECT_EQ(why(many + "Host 1 1 1\n"), "more than 64 devices");
}

TEST(DryRun, TellsWhyARunFailed) {
  EXPECT_EQ(dry_run_failure("0.00.004 I llama_fit_params: printing ...\n"
                            "0.00.008.425 E gguf_init_from_reader: invalid magic characters\n"
                            "terminate called after throwing an instance of 'X'\n"
                            "  what():  failed to load model\n"),
            "gguf_init_from_reader: invalid magic characters; what():  failed to load model");
  EXPECT_EQ(dry_run_failure("error: invalid argument: --bogus\n"),
            "error: invalid argument: --bogus");
  EXPECT_EQ(dry_run_failure(""), "");
  std::string endless;
  for (int i = 0; i < 1000; ++i)
    endless += "an error of many\n";
  EXPECT_LE(dry_run_failure(endless).size(), 600U);
}

}  // namespace
}  // namespace tonnage
