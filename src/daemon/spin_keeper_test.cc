#include "daemon/spin_keeper.h"

#include <fstream>
#include <optional>
#include <stop_token>
#include <vector>

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

  // What a start on two cores tells, with a machine that measures `tries`, one after the other.
  SpinCosts start(std::vector<std::optional<SpinCosts>> tries) {
    SpinCosts found;
    boost::asio::io_context io;
    const auto work = boost::asio::make_work_guard(io);
    std::size_t next = 0;
    SpinKeeper keeper(
        io, file(),
        [&](const SpinCosts& costs, std::int32_t) {
          found = costs;
          io.stop();
        },
        {.cores = [] { return std::vector{0, 1}; },
         .measure = [&](int, int, Duration, const std::stop_token&) -> std::optional<SpinCosts> {
           return next < tries.size() ? tries[next++] : std::nullopt;
         },
         .between_tries = Duration(0)});
    keeper.start();
    io.run();
    return found;
  }
  static SpinCosts sleeping(std::int64_t sleep_ns) {
    return {.look_ps = 24'600, .sleep_ns = sleep_ns, .wake_ns = 2'500};
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

TEST_F(SpinKeeperTest, the_middle_of_five_tries_is_told_and_kept) {
  const std::optional<SpinCosts> none;
  EXPECT_EQ(start({sleeping(60'000), none, sleeping(9'000), sleeping(1'000), none, none,
                   sleeping(10'000), sleeping(20'000)}),
            sleeping(10'000));
  const auto record = read_spin_record(file());
  ASSERT_TRUE(record);
  EXPECT_EQ(record->machine, describe_machine(2));
  EXPECT_EQ(record->costs, sleeping(10'000));
}

TEST_F(SpinKeeperTest, what_is_kept_is_told_and_nothing_is_measured) {
  ASSERT_TRUE(write_spin_record(file(), {.machine = describe_machine(2), .costs = kCosts}));
  EXPECT_EQ(start({}), kCosts);
}

TEST_F(SpinKeeperTest, another_machine_is_measured_anew) {
  ASSERT_TRUE(write_spin_record(file(), {.machine = "another", .costs = sleeping(20'000)}));
  EXPECT_EQ(start({kCosts, kCosts, kCosts, kCosts, kCosts}), kCosts);
  EXPECT_EQ(read_spin_record(file())->machine, describe_machine(2));
}

TEST_F(SpinKeeperTest, the_text_says_count_and_times) {
  EXPECT_EQ(spin_text(kCosts, 2), "481 turns (11.8 us): one turn takes 24.6 ns, sleeping 14.8 us");
}

}  // namespace
}  // namespace tonnage
