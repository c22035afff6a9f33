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

  // What a start on two cores tells until it has told `times` times. The machine measures `tries`,
  // one after the other, and then no more.
  std::vector<SpinCosts> start(std::vector<SpinCosts> tries, std::size_t times) {
    std::vector<SpinCosts> found;
    boost::asio::io_context io;
    const auto work = boost::asio::make_work_guard(io);
    std::size_t next = 0;
    SpinKeeper keeper(
        io, file(),
        [&](const SpinCosts& costs, std::int32_t) {
          found.push_back(costs);
          if (found.size() == times)
            io.stop();
        },
        {.cores = [] { return std::vector{0, 1}; },
         .measure = [&](int, int, Duration, const std::stop_token&) -> std::optional<SpinCosts> {
           if (next == tries.size())
             return std::nullopt;
           return tries[next++];
         },
         .between_tries = Duration(0)});
    keeper.start();
    io.run();
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

TEST_F(SpinKeeperTest, the_largest_of_several_tries_is_told_and_kept) {
  const SpinCosts less{.look_ps = 24'600, .sleep_ns = 10'000, .wake_ns = 2'500};
  EXPECT_EQ(start({less, kCosts, less}, 2), (std::vector{less, kCosts}));
  const auto record = read_spin_record(file());
  ASSERT_TRUE(record);
  EXPECT_EQ(record->machine, describe_machine(2));
  EXPECT_EQ(record->costs, kCosts);
}

TEST_F(SpinKeeperTest, what_is_kept_is_told_at_once_and_less_does_not_replace_it) {
  ASSERT_TRUE(write_spin_record(file(), {.machine = describe_machine(2), .costs = kCosts}));
  const SpinCosts less{.look_ps = 24'600, .sleep_ns = 10'000, .wake_ns = 2'500};
  const SpinCosts more{.look_ps = 24'600, .sleep_ns = 20'000, .wake_ns = 2'500};
  EXPECT_EQ(start({less, less, more}, 2), (std::vector{kCosts, more}));
  EXPECT_EQ(read_spin_record(file())->costs, more);
}

TEST_F(SpinKeeperTest, another_machine_is_measured_anew) {
  const SpinCosts more{.look_ps = 24'600, .sleep_ns = 20'000, .wake_ns = 2'500};
  ASSERT_TRUE(write_spin_record(file(), {.machine = "another", .costs = more}));
  EXPECT_EQ(start({kCosts}, 1), (std::vector{kCosts}));
  EXPECT_EQ(read_spin_record(file())->machine, describe_machine(2));
}

TEST_F(SpinKeeperTest, the_text_says_count_and_times) {
  EXPECT_EQ(spin_text(kCosts, 2), "300 turns (7.4 us): one turn takes 24.6 ns, sleeping 14.8 us");
}

}  // namespace
}  // namespace tonnage
