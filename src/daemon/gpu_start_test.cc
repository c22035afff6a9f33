#include "daemon/gpu_start.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/survey_fixture.h"
#include "engine/environment.h"

namespace tonnage {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

SurveyedDevice device(const std::string& id, bool unified = false) {
  DeviceSample sample;
  sample.id = id;
  sample.total = 8_GiB;
  sample.used = 1_GiB;
  sample.free = 7_GiB;
  sample.unified = unified;
  return {sample, {}};
}

std::vector<std::string> seen(const std::string& visible) {
  std::vector<std::string> ids;
  for (const SurveyedDevice& d :
       seen_devices(survey_of({device("GPU-aa"), device("0000:09:00.0"), device("GPU-ab")}),
                    visible)
           .devices)
    ids.push_back(d.sample.id);
  return ids;
}

TEST(SeenDevices, OnlyWhatTheUserLetsCudaSee) {
  EXPECT_THAT(seen("1"), ElementsAre("0000:09:00.0", "GPU-ab"));
  EXPECT_THAT(seen("GPU-ab,0"), ElementsAre("GPU-aa", "0000:09:00.0", "GPU-ab"));
  EXPECT_THAT(seen(""), ElementsAre("0000:09:00.0"));
  EXPECT_THAT(seen("0,7,1"), ElementsAre("GPU-aa", "0000:09:00.0"));
  EXPECT_THAT(seen("-1"), ElementsAre("0000:09:00.0"));
}

using EngineDevices = Result<std::vector<LlamaDevice>>;
const EngineDevices kNone = std::vector<LlamaDevice>{};

TEST(UnusableGpus, AGpuThatTheEngineCannotUseIsNamed) {
  EXPECT_THAT(unusable_gpus(survey_of({device("GPU-aa")}), kNone),
              HasSubstr("GPU-aa), but the engine offers no GPU device"));
  EXPECT_THAT(unusable_gpus(survey_of({device("GPU-aa")}), EngineDevices(fail("it printed none"))),
              HasSubstr("it printed none"));
  EXPECT_EQ(unusable_gpus(survey_of({device("GPU-aa")}), std::vector<LlamaDevice>{{"CUDA0", ""}}),
            "");
}

TEST(UnusableGpus, AMachineWithoutAGpuWorthHavingNeedsNone) {
  EXPECT_EQ(unusable_gpus({}, kNone), "");
  SurveyedDevice blind = device("0000:01:00.0");
  blind.sample.used.reset();
  EXPECT_EQ(unusable_gpus(survey_of({blind, device("0000:02:00.0", true)}), kNone), "");
  EXPECT_NE(unusable_gpus(survey_of({device("GPU-u", true)}), kNone), "");
  // An APU with a large carve-out is processor graphics all the same.
  SurveyedDevice apu = device("0000:c6:00.0");
  EXPECT_NE(unusable_gpus(survey_of({apu}), kNone), "");
  apu.sample.integrated = true;
  EXPECT_EQ(unusable_gpus(survey_of({apu}), kNone), "");
}

TEST(EngineEnvironment, PassesOnWhatDevicesAndNetworksNeed) {
  const Environment environment = {{"LD_LIBRARY_PATH", "/cuda"},
                                   {"GGML_VK_VISIBLE_DEVICES", "0"},
                                   {"CUDA_VISIBLE_DEVICES", "1"},
                                   {"HSA_OVERRIDE_GFX_VERSION", "10.3.0"},
                                   {"https_proxy", "http://proxy:1"},
                                   {"HOME", "/home/u"},
                                   {"GOMP_SPINCOUNT", "1"},
                                   {"LD_PRELOAD", "/x.so"},
                                   {"SECRET", "x"}};
  const auto env = engine_environment({}, environment);
  EXPECT_THAT(env, Contains("LD_LIBRARY_PATH=/cuda"));
  EXPECT_THAT(env, Contains("GGML_VK_VISIBLE_DEVICES=0"));
  EXPECT_THAT(env, Contains("HSA_OVERRIDE_GFX_VERSION=10.3.0"));
  EXPECT_THAT(env, Contains("https_proxy=http://proxy:1"));
  EXPECT_THAT(env, Contains("HOME=/home/u"));
  EXPECT_THAT(env, Not(Contains("HOME=/")));
  EXPECT_THAT(env, Not(Contains("GOMP_SPINCOUNT=1")));
  EXPECT_THAT(env, Not(Contains(StartsWith("LD_PRELOAD"))));
  EXPECT_THAT(env, Not(Contains(StartsWith("SECRET"))));
}

TEST(EngineEnvironment, TheHomeIsTheUsersWhereTheEnvironmentHasNone) {
  EXPECT_THAT(engine_environment({}, {}), Contains("HOME=" + home_of_user()));
}

}  // namespace
}  // namespace tonnage
