#include "device_set.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "report.h"
#include "visible_devices.h"

namespace fake_gpu {
namespace {

constexpr std::uint64_t kGi = std::uint64_t{1} << 30;
constexpr std::uint64_t kLagMs = 300;

// A process that waits until it is killed.
class Child {
 public:
  Child() : pid_(::fork()) {
    while (pid_ == 0)
      ::pause();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { collect(); }

  pid_t pid() const { return pid_; }
  // It has ended, and its parent has not asked yet how.
  void kill() {
    ::kill(pid_, SIGKILL);
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
  }
  void collect() {
    if (pid_ <= 0)
      return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_;
};

class DeviceSetTest : public testing::Test {
 protected:
  DeviceSetTest() {
    std::string name = (std::filesystem::temp_directory_path() / "tonnage-set-XXXXXX").string();
    ::close(::mkstemp(name.data()));
    path_ = name;
    set_ = std::make_unique<SharedSet>(path_, true);
    set_->add_device("GPU-small", "small", "0000:08:00.0", 8 * kGi);
    set()->release_lag_ms = kLagMs;
  }
  ~DeviceSetTest() override { std::filesystem::remove(path_); }

  SharedSet& set() { return *set_; }
  std::uint64_t used(std::size_t device = 0) { return used_bytes(set().set(), device); }
  Outcome take(pid_t pid, std::uint64_t bytes, Owner owner = Owner::server, bool leaks = false) {
    return set().allocate(
        0, {.pid = pid, .bytes = bytes, .owner = owner, .leaks = leaks, .watched = true});
  }

  std::string path_;

 private:
  std::unique_ptr<SharedSet> set_;
};

TEST_F(DeviceSetTest, WhatAKilledProcessHeldIsFreeAfterTheLag) {
  Child child;
  ASSERT_EQ(take(child.pid(), 2 * kGi), Outcome::granted);
  set().notice_ends();
  EXPECT_EQ(set()->devices[0].allocations[0].free_at_ms, 0U) << "it still lives";
  child.kill();
  set().notice_ends();
  EXPECT_EQ(used(), 2 * kGi);
  set()->now_ms = kLagMs - 1;
  EXPECT_EQ(used(), 2 * kGi);
  set()->now_ms = kLagMs;
  EXPECT_EQ(used(), 0U);
}

TEST_F(DeviceSetTest, AnAllocationNoticesWhoHasEndedByItself) {
  set()->release_lag_ms = 0;
  Child child;
  ASSERT_EQ(take(child.pid(), 6 * kGi), Outcome::granted);
  child.collect();
  EXPECT_EQ(take(::getpid(), 6 * kGi), Outcome::granted);
}

TEST_F(DeviceSetTest, ALeakStaysWithoutAProcess) {
  Child child;
  ASSERT_EQ(take(child.pid(), kGi, Owner::server, true), Outcome::granted);
  ASSERT_EQ(take(child.pid(), kGi), Outcome::granted);
  child.collect();
  set().notice_ends();
  set()->now_ms = 10 * kLagMs;
  EXPECT_EQ(used(), kGi);
  const auto device = nlohmann::json::parse(report(set().set()))["devices"][0];
  EXPECT_EQ(device["leaked"], kGi);
  EXPECT_TRUE(device["processes"].empty());
}

TEST_F(DeviceSetTest, AProcessThatNobodyWatchesMayHaveAnyNumber) {
  ASSERT_TRUE(set().allocate(0, 1 << 30, kGi));
  set().notice_ends();
  set()->now_ms = 10 * kLagMs;
  EXPECT_EQ(used(), kGi);
}

TEST_F(DeviceSetTest, WhatALivingProcessGivesBackIsFreeAtOnce) {
  ASSERT_EQ(take(::getpid(), kGi), Outcome::granted);
  set().give_back(0, ::getpid());
  EXPECT_EQ(used(), 0U);
  EXPECT_EQ(set()->devices[0].used_max, kGi);
}

TEST_F(DeviceSetTest, RefusalsAreCountedByOwnerWithWhatThereWas) {
  ASSERT_EQ(take(::getpid(), 6 * kGi, Owner::server), Outcome::granted);
  EXPECT_EQ(take(::getpid(), 3 * kGi, Owner::foreign), Outcome::refused);
  EXPECT_EQ(take(::getpid(), 2 * kGi + 1, Owner::server), Outcome::refused);
  const auto told = nlohmann::json::parse(report(set().set()));
  const auto& owners = told["devices"][0]["owners"];
  EXPECT_EQ(owners["foreign"]["refused"], 1U);
  EXPECT_EQ(owners["foreign"]["refused_bytes"], 3 * kGi);
  EXPECT_EQ(owners["server"]["refused"], 1U);
  EXPECT_EQ(owners["server"]["allocated_bytes"], 6 * kGi);
  EXPECT_EQ(owners["unknown"]["refused"], 0U);
  ASSERT_EQ(told["refusals"].size(), 2U);
  EXPECT_EQ(told["refusals"][0]["owner"], "foreign");
  EXPECT_EQ(told["refusals"][0]["free_bytes"], 2 * kGi);
  EXPECT_EQ(told["refusals"][0]["held_bytes"]["server"], 6 * kGi);
}

TEST_F(DeviceSetTest, OfManyRefusalsTheLatestAreKeptInOrder) {
  for (std::uint64_t i = 0; i < kRefusalsKept + 3; ++i)
    EXPECT_EQ(take(::getpid(), 9 * kGi + i), Outcome::refused);
  const auto told = nlohmann::json::parse(report(set().set()));
  EXPECT_EQ(told["refusal_count"], kRefusalsKept + 3);
  ASSERT_EQ(told["refusals"].size(), kRefusalsKept);
  EXPECT_EQ(told["refusals"].front()["bytes"], 9 * kGi + 3);
  EXPECT_EQ(told["refusals"].back()["bytes"], 9 * kGi + kRefusalsKept + 2);
}

TEST_F(DeviceSetTest, ALostDeviceGrantsNothingAndThatIsNoRefusal) {
  set()->devices[0].lost = 1;
  EXPECT_EQ(take(::getpid(), kGi), Outcome::lost);
  EXPECT_EQ(refused(set()->devices[0]), 0U);
}

TEST_F(DeviceSetTest, TheRealClockGoesByItself) {
  set()->real_clock = 1;
  const std::uint64_t before = time_ms(set().set());
  EXPECT_GT(before, 0U);
  EXPECT_GE(time_ms(set().set()), before);
}

TEST_F(DeviceSetTest, CountersAreSharedByName) {
  EXPECT_EQ(set().count("a"), 1U);
  EXPECT_EQ(set().count("b"), 1U);
  SharedSet other(path_);
  EXPECT_EQ(other.count("a"), 2U);
  EXPECT_FALSE(other.count_up_to("a", 2));
  EXPECT_EQ(nlohmann::json::parse(report(set().set()))["counters"]["a"], 2U);
}

TEST_F(DeviceSetTest, WhichDevicesACudaProgramSees) {
  set().add_device("GPU-large", "large", "0000:09:00.0", 24 * kGi);
  using Indices = std::vector<std::size_t>;
  const auto seen = [&](const char* visible, const char* order = nullptr) {
    return visible_devices(set().set(), order, visible);
  };
  EXPECT_EQ(seen(nullptr), (Indices{1, 0})) << "the larger card is the faster one";
  EXPECT_EQ(seen(nullptr, "PCI_BUS_ID"), (Indices{0, 1}));
  EXPECT_EQ(seen(""), Indices{});
  EXPECT_EQ(seen("-1"), Indices{});
  EXPECT_EQ(seen("0"), Indices{1});
  EXPECT_EQ(seen("0", "PCI_BUS_ID"), Indices{0});
  EXPECT_EQ(seen("GPU-small,GPU-large"), (Indices{0, 1}));
  EXPECT_EQ(seen("GPU-sm"), Indices{0}) << "a beginning is enough";
  EXPECT_EQ(seen("1,7,0"), Indices{0}) << "the first that names none ends the list";
  EXPECT_EQ(seen("GPU-large,GPU-large"), Indices{});
  set()->devices[1].mig_mode = 1;
  EXPECT_EQ(seen(nullptr), Indices{0}) << "a card with MIG on is its instances";
}

}  // namespace
}  // namespace fake_gpu
