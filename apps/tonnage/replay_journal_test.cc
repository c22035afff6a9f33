#include "tonnage/replay_journal.h"

#include <unistd.h>

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/governor.h"
#include "journal/recorder.h"

namespace tonnage {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Policy policy() {
  Policy policy;
  policy.pools.push_back({.name = "host", .reserve = {}, .limit = {}});
  for (const char* id : {"a", "b"})
    policy.models.push_back({.id = id, .ttl = {}});
  return policy;
}

PlacementRow row() {
  PlacementRow row;
  row.placement = {.context = 512, .slots = 1};
  row.host_anon = 3_GiB;
  row.source = FootprintSource::declared;
  return row;
}

// A day in the life: two models that do not fit together, one request each.
std::vector<Event> events() {
  return {PoolSampled{kHostPool, 4_GiB, Bytes{0}},
          RequestArrived{RequestId(1), ModelId(0)},
          ModelProfiled{ModelId(0), {row()}},
          ServerReady{Generation(1)},
          RequestArrived{RequestId(2), ModelId(1)},
          ModelProfiled{ModelId(1), {row()}},
          RequestEnded{RequestId(1), Generation(1)},
          PolicyChanged{policy(), {ModelId(1)}},
          ServerExited{Generation(1), std::nullopt},
          ModelProfiled{ModelId(1), {row()}},
          ServerReady{Generation(2)},
          RequestEnded{RequestId(2), Generation(2)}};
}

class ReplayTest : public ::testing::Test {
 protected:
  ReplayTest()
      : folder_(fs::path(::testing::TempDir()) /
                ("replay-" + std::to_string(::getpid()) +
                 ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    fs::create_directories(folder_);
  }
  ~ReplayTest() override { fs::remove_all(folder_); }

  // Records the day into segments of at most `segment_max`.
  void record(Bytes segment_max = 8_MiB) {
    journal::Recorder recorder({"1", "run", 0}, {.segment_max = segment_max});
    Governor governor(policy(), Tick{});
    Tick now{};
    for (const Event& event : events()) {
      if (recorder.needs_segment())
        recorder.begin_segment(governor.state());
      Actions actions;
      governor.step(now += 1s, event, actions);
      recorder.record(now, event, actions);
    }
    for (const journal::Chunk& chunk : recorder.take()) {
      std::ofstream(folder_ / (std::string(chunk.segment < 10 ? "run-0" : "run-") +
                               std::to_string(chunk.segment) + ".jsonl"),
                    std::ios::app | std::ios::binary)
          << chunk.text;
    }
  }
  ReplayReport replay() const {
    auto report = replay_journal(journal_files(folder_));
    EXPECT_TRUE(report) << report.error().text();
    return report ? std::move(*report) : ReplayReport{};
  }
  void change(const std::string& file, const std::string& from, const std::string& to) const {
    std::ifstream in(folder_ / file, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(in), {}};
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << text;
    text.replace(at, from.size(), to);
    std::ofstream(folder_ / file, std::ios::binary) << text;
  }

  fs::path folder_;
};

TEST_F(ReplayTest, WhatWasRecordedHappensAgain) {
  record();
  const ReplayReport report = replay();
  EXPECT_EQ(report.segments, 1U);
  EXPECT_EQ(report.steps, events().size());
  EXPECT_GT(report.actions, 8U);
  EXPECT_THAT(report.notes, IsEmpty());
  EXPECT_FALSE(report.difference);
}

TEST_F(ReplayTest, EachSegmentBeginsWhereTheLastOneEnded) {
  record(1_KiB);
  const ReplayReport report = replay();
  EXPECT_GT(report.segments, 2U);
  EXPECT_EQ(report.steps, events().size());
  EXPECT_FALSE(report.difference) << report.difference->text;
}

TEST_F(ReplayTest, AnotherActionThanRecordedIsShownWithBoth) {
  record();
  change("run-01.jsonl", R"("type":"stop_server","model":0,"generation":1)",
         R"("type":"stop_server","model":0,"generation":9)");
  const ReplayReport report = replay();
  ASSERT_TRUE(report.difference);
  EXPECT_EQ(report.difference->step, 7U);
  EXPECT_EQ(report.difference->line, 8U);
  EXPECT_THAT(report.difference->event, HasSubstr("request_ended"));
  EXPECT_THAT(report.difference->recorded.back(), HasSubstr("\"generation\":9"));
  EXPECT_THAT(report.difference->replayed.back(), HasSubstr("\"generation\":1"));
}

TEST_F(ReplayTest, AStateThatDoesNotFollowIsADifference) {
  record(1_KiB);
  change("run-02.jsonl", "\"next_generation\":", "\"next_generation\":1");
  const ReplayReport report = replay();
  ASSERT_TRUE(report.difference);
  EXPECT_THAT(report.difference->text, HasSubstr("the replayed state is not the one"));
  EXPECT_THAT(report.difference->file, HasSubstr("run-02.jsonl"));
}

TEST_F(ReplayTest, AMissingStepIsADifferenceAndAMissingSegmentANote) {
  record(1_KiB);
  fs::remove(folder_ / "run-02.jsonl");
  EXPECT_THAT(replay().notes, ElementsAre(HasSubstr("are missing")));
  change("run-01.jsonl", "{\"step\":2,", "{\"step\":3,");
  const ReplayReport report = replay();
  ASSERT_TRUE(report.difference);
  EXPECT_EQ(report.difference->text, "step 2 was expected here");
}

}  // namespace
}  // namespace tonnage
