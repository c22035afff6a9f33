#include "base/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

int open_null() {
  return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

// Takes every descriptor that a low limit leaves.
class DescriptorsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    const int next = open_null();
    ::close(next);
    const rlimit few{.rlim_cur = static_cast<rlim_t>(next) + 16, .rlim_max = before_.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  }
  void TearDown() override {
    DescriptorReserve::hold(0);
    for (const int fd : taken_)
      ::close(fd);
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }
  void take_all() {
    for (int fd = open_null(); fd >= 0; fd = open_null())
      taken_.push_back(fd);
    ASSERT_TRUE(lacks_descriptors());
  }

  rlimit before_{};
  std::vector<int> taken_;
};

TEST_F(DescriptorsTest, WhatIsKeptBackIsThereWhenNothingElseIs) {
  DescriptorReserve::hold(3);
  take_all();
  for (int i = 0; i < 3; ++i) {
    const int fd = open_with_reserve(open_null);
    ASSERT_GE(fd, 0) << i;
    taken_.push_back(fd);
  }
  EXPECT_EQ(open_with_reserve(open_null), -1);
  EXPECT_TRUE(is_own_shortage(errno));
}

TEST_F(DescriptorsTest, TheReserveIsFilledAgain) {
  DescriptorReserve::hold(2);
  take_all();
  const int fd = open_with_reserve(open_null);
  ASSERT_GE(fd, 0);
  ::close(fd);
  DescriptorReserve::refill();
  EXPECT_EQ(open_null(), -1) << "it is kept back again";
  EXPECT_TRUE(DescriptorReserve::give());
  EXPECT_TRUE(DescriptorReserve::give());
  EXPECT_FALSE(DescriptorReserve::give());
}

TEST_F(DescriptorsTest, TheLimitIsRaisedAsFarAsItMay) {
  EXPECT_EQ(raise_descriptor_limit(~std::uint64_t{0}), before_.rlim_max);
  EXPECT_EQ(raise_descriptor_limit(1), before_.rlim_max) << "it is never lowered";
}

TEST_F(DescriptorsTest, OnlyOurOwnShortageCounts) {
  EXPECT_TRUE(is_own_shortage(EMFILE));
  EXPECT_TRUE(is_own_shortage(ENFILE));
  EXPECT_FALSE(is_own_shortage(ECONNREFUSED));
  EXPECT_FALSE(is_own_shortage(EAGAIN));
  EXPECT_FALSE(is_own_shortage(ENOENT));
}

}  // namespace
}  // namespace tonnage
