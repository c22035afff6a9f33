#include "engine/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tonnage {
namespace {

using testing::ElementsAre;

TEST(Environment, WhatDevicesAndNetworksNeedIsPassedOn) {
  for (const char* name :
       {"HSA_OVERRIDE_GFX_VERSION", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
        "CUDA_CACHE_PATH", "GGML_VK_VISIBLE_DEVICES", "VK_ICD_FILENAMES", "HTTPS_PROXY",
        "http_proxy", "NO_PROXY", "HOME", "LD_LIBRARY_PATH", "ONEAPI_DEVICE_SELECTOR"})
    EXPECT_TRUE(is_passed_on(name)) << name;
  for (const char* name : {"LD_PRELOAD", "AWS_SECRET_ACCESS_KEY", "LLAMA_ARG_CTX_SIZE", "LANG",
                           "HTTP_PROXY_PASSWORD", "TONNAGE_LISTEN", "MALLOC_ARENA_MAX", ""})
    EXPECT_FALSE(is_passed_on(name)) << name;
}

TEST(Environment, OfTwoVariablesOfOneNameTheLaterStays) {
  const std::vector<std::string> more{"B=3", "C=4", "C=5"};
  EXPECT_THAT(merged_environment({"A=1", "B=2"}, more), ElementsAre("A=1", "B=3", "C=5"));
  EXPECT_THAT(merged_environment({"A=1"}, {}), ElementsAre("A=1"));
}

TEST(Environment, WhatHasNoEffectIsSaid) {
  EXPECT_TRUE(variable_without_effect("CUDA_VISIBLE_DEVICES"));
  EXPECT_FALSE(variable_without_effect("HSA_OVERRIDE_GFX_VERSION"));
}

}  // namespace
}  // namespace tonnage
