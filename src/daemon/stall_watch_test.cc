#include "daemon/stall_watch.h"

#include <filesystem>
#include <fstream>
#include <variant>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tonnage {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

PressureLevel level(std::optional<std::int64_t> some, std::optional<std::int64_t> full,
                    bool host = true) {
  PressureLevel level;
  level.stall_some_permille = some;
  level.stall_full_permille = full;
  level.host = host;
  return level;
}

TEST(TriggerStall, IsTheLeastThatALevelNames) {
  PressurePolicy policy;
  using Kind = PsiTrigger::Kind;
  EXPECT_EQ(trigger_stall(policy, Kind::some), std::nullopt);
  policy.levels = {level(200, {}), level(100, 50), level(10, {}, false)};
  EXPECT_EQ(trigger_stall(policy, Kind::some), Duration(200ms));
  EXPECT_EQ(trigger_stall(policy, Kind::full), Duration(100ms));
}

class StallWatchTest : public testing::Test {
 protected:
  StallWatchTest() {
    std::filesystem::create_directories(file_.parent_path());
    write("0.00", "0.00");
  }
  ~StallWatchTest() override { std::filesystem::remove_all(root_); }

  void write(const std::string& some, const std::string& full) {
    std::ofstream(file_) << "some avg10=" << some
                         << " avg60=0.00 avg300=0.00 total=1\nfull avg10=" << full
                         << " avg60=0.00 avg300=0.00 total=1\n";
  }

  std::filesystem::path root_ = testing::TempDir() + "tonnage-stall-watch";
  std::filesystem::path file_ = root_ / "proc/pressure/memory";
  boost::asio::io_context io_;
  std::vector<StallSampled> told_;
};

TEST_F(StallWatchTest, ACalmMachineIsNoNewsAndAStallIsForAsLongAsItLasts) {
  StallWatch watch(
      io_, root_.string(), [this](const Event& e) { told_.push_back(std::get<StallSampled>(e)); },
      [] {});
  watch.sample();
  EXPECT_THAT(told_, SizeIs(0));
  write("12.30", "1.00");
  watch.sample();
  watch.sample();
  write("0.00", "0.00");
  watch.sample();
  watch.sample();
  EXPECT_THAT(told_, ElementsAre(StallSampled{123, 10}, StallSampled{123, 10}, StallSampled{}));
}

TEST_F(StallWatchTest, AKernelThatTellsNothingIsNoStall) {
  std::filesystem::remove(file_);
  StallWatch watch(io_, root_.string(), [this](const Event&) { told_.emplace_back(); }, [] {});
  watch.sample();
  watch.arm({.levels = {level(100, 50)}, .restore_below_permille = {}, .fallback = {}});
  EXPECT_THAT(told_, SizeIs(0));
}

}  // namespace
}  // namespace tonnage
