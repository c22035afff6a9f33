#include "daemon/foreign_memory.h"

#include <unistd.h>

#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

struct ForeignMemoryTest : testing::Test {
  Bytes at(Duration when, std::vector<DeviceProcess> processes) {
    return memory.expected(Tick(when), processes);
  }

  std::set<std::int32_t> living = {7, 8};
  ForeignMemory memory{[this](std::int32_t pid) { return living.contains(pid); }, 60s};
};

TEST_F(ForeignMemoryTest, WhatAProgramGaveBackIsKeptForItWhileItLives) {
  EXPECT_EQ(at(0s, {{7, 3_GiB}}), 0_B);
  EXPECT_EQ(at(2s, {{7, 1_GiB}}), 2_GiB);
  EXPECT_EQ(at(4s, {}), 3_GiB) << "listed no more, but alive";
  EXPECT_EQ(at(6s, {{7, 3_GiB}}), 0_B);
}

TEST_F(ForeignMemoryTest, AProgramThatEndedKeepsNothing) {
  at(0s, {{7, 3_GiB}});
  living.erase(7);
  EXPECT_EQ(at(2s, {}), 0_B);
}

TEST_F(ForeignMemoryTest, NothingIsKeptLongerThanTheWindow) {
  at(0s, {{7, 3_GiB}});
  EXPECT_EQ(at(60s, {{7, 1_GiB}}), 2_GiB);
  EXPECT_EQ(at(61s, {{7, 1_GiB}}), 0_B);
  EXPECT_EQ(at(62s, {}), 1_GiB) << "of what it held since";
  EXPECT_EQ(at(122s, {}), 0_B);
}

TEST_F(ForeignMemoryTest, ProgramsAreToldApart) {
  at(0s, {{7, 3_GiB}, {8, 1_GiB}});
  EXPECT_EQ(at(1s, {{8, 4_GiB}}), 3_GiB) << "what one took is not what the other gave back";
  EXPECT_EQ(at(2s, {{7, std::nullopt}, {8, 4_GiB}}), 3_GiB);
}

TEST(ProcessLives, OfThisProcessAndOfNone) {
  EXPECT_TRUE(process_lives(::getpid()));
  EXPECT_FALSE(process_lives(1 << 30));
}

}  // namespace
}  // namespace tonnage
