#include "daemon/spin_keeper.h"

#include <fstream>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

namespace fs = std::filesystem;

constexpr SpinCosts kCosts{.look_ps = 24'600, .sleep_ns = 14'800, .wake_ns = 2'500};

class SpinKeeperTest : public testing::Test {
 protected:
  SpinKeeperTest() {
    std::string name = (fs::temp_directory_path() / "tonnage-spin-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~SpinKeeperTest() override { fs::remove_all(folder_); }

  // What a start finds; empty: nothing.
  std::optional<SpinCosts> start() {
    std::optional<SpinCosts> found;
    boost::asio::io_context io;
    const auto work = boost::asio::make_work_guard(io);
    SpinKeeper keeper(io, file(), [&](const SpinCosts& costs, std::int32_t) {
      found = costs;
      io.stop();
    });
    keeper.start();
    io.run_for(std::chrono::seconds(30));
    return found;
  }
  fs::path file() const { return spin_file(folder_ / "state"); }

  fs::path folder_;
};

TEST_F(SpinKeeperTest, a_record_is_read_as_it_was_written) {
  EXPECT_FALSE(read_spin_record(file()));
  ASSERT_TRUE(write_spin_record(file(), {.machine = "m", .costs = kCosts}));
  const auto record = read_spin_record(file());
  ASSERT_TRUE(record);
  EXPECT_EQ(record->machine, "m");
  EXPECT_EQ(record->costs, kCosts);
}

TEST_F(SpinKeeperTest, a_damaged_record_is_none) {
  fs::create_directories(file().parent_path());
  for (const char* text : {"", "{", "[]", R"({"machine": 1})", R"({"machine": "m"})",
                           R"({"machine": "m", "look_ps": "x", "sleep_ns": -1})"}) {
    std::ofstream(file()) << text;
    EXPECT_FALSE(read_spin_record(file())) << text;
  }
}

TEST_F(SpinKeeperTest, what_is_kept_is_used_at_once_and_less_does_not_replace_it) {
  if (usable_cores().size() < 2)
    GTEST_SKIP() << "needs two physical cores";
  ASSERT_TRUE(start());
  SpinRecord record = *read_spin_record(file());
  record.costs.sleep_ns = kSleepNsMax;
  ASSERT_TRUE(write_spin_record(file(), record));
  EXPECT_EQ(start(), record.costs);
  EXPECT_EQ(read_spin_record(file())->costs, record.costs);
}

TEST_F(SpinKeeperTest, another_machine_is_measured_anew) {
  if (usable_cores().size() < 2)
    GTEST_SKIP() << "needs two physical cores";
  ASSERT_TRUE(write_spin_record(file(), {.machine = "another", .costs = kCosts}));
  ASSERT_TRUE(start());
  EXPECT_EQ(read_spin_record(file())->machine, describe_machine(usable_cores().size()));
}

TEST_F(SpinKeeperTest, the_text_says_count_and_times) {
  EXPECT_EQ(spin_text(kCosts, 2), "300 turns (7.4 us): one turn takes 24.6 ns, sleeping 14.8 us");
}

}  // namespace
}  // namespace tonnage
