#include "journal/recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tonnage::journal {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

GovernorState fresh_state() {
  GovernorState state;
  state.policy.pools.push_back({.name = "host", .reserve = {}, .limit = {}});
  state.ledger.pools.resize(1);
  return state;
}

Recorder recorder(RecorderLimits limits = {}) {
  return {{"1.0", "run", 0}, limits};
}

void record(Recorder& recorder) {
  if (recorder.needs_segment())
    recorder.begin_segment(fresh_state());
  recorder.record(Tick{}, Timer{}, {});
}

TEST(Recorder, ASegmentBeginsWithItsHeader) {
  Recorder r = recorder();
  EXPECT_TRUE(r.needs_segment());
  record(r);
  record(r);
  const auto chunks = r.take();
  ASSERT_THAT(chunks, SizeIs(1));
  EXPECT_TRUE(chunks[0].begins);
  EXPECT_THAT(chunks[0].text, StartsWith("{\"journal\":\"tonnage\""));
  EXPECT_THAT(chunks[0].text, HasSubstr("\n{\"step\":1,"));
  EXPECT_THAT(chunks[0].text, HasSubstr("\n{\"step\":2,"));
  record(r);
  const auto more = r.take();
  ASSERT_THAT(more, SizeIs(1));
  EXPECT_FALSE(more[0].begins);
  EXPECT_THAT(more[0].text, StartsWith("{\"step\":3,"));
  EXPECT_FALSE(r.has_pending());
  EXPECT_THAT(r.take(), IsEmpty());
}

TEST(Recorder, AFullSegmentIsFollowedByTheNext) {
  Recorder r = recorder({.segment_max = 200_B});
  for (int i = 0; i < 20; ++i)
    record(r);
  const auto chunks = r.take();
  ASSERT_GT(chunks.size(), 2U);
  std::uint64_t expected = 1;
  for (const Chunk& chunk : chunks) {
    EXPECT_TRUE(chunk.begins);
    const auto header = decode_header(chunk.text.substr(0, chunk.text.find('\n')));
    ASSERT_TRUE(header) << header.error().text();
    EXPECT_EQ(header->segment, chunk.segment);
    EXPECT_EQ(header->first_step, expected);
    EXPECT_FALSE(header->gap);
    expected += static_cast<std::uint64_t>(std::ranges::count(chunk.text, '\n')) - 1;
  }
  EXPECT_EQ(expected, 21U);
}

TEST(Recorder, AStateThatIsLargerThanASegmentStillGetsItsStep) {
  Recorder r = recorder({.segment_max = 1_B});
  for (int i = 0; i < 3; ++i)
    record(r);
  const auto chunks = r.take();
  ASSERT_THAT(chunks, SizeIs(3));
  EXPECT_THAT(chunks[2].text, HasSubstr("\n{\"step\":3,"));
}

TEST(Recorder, ADiskThatDoesNotKeepUpLeavesAGapThatIsSaid) {
  Recorder r = recorder({.pending_max = 800_B});
  for (int i = 0; i < 40; ++i)
    record(r);
  const auto chunks = r.take();
  ASSERT_FALSE(chunks.empty());
  std::size_t bytes = 0;
  for (const Chunk& chunk : chunks)
    bytes += chunk.text.size();
  EXPECT_LE(bytes, 800U);
  const auto header = decode_header(chunks[0].text.substr(0, chunks[0].text.find('\n')));
  ASSERT_TRUE(header);
  EXPECT_TRUE(header->gap);
}

TEST(Recorder, WhatTheDiskLostBeginsAnew) {
  Recorder r = recorder();
  record(r);
  r.take();
  r.lost();
  EXPECT_TRUE(r.needs_segment());
  record(r);
  const auto chunks = r.take();
  ASSERT_THAT(chunks, SizeIs(1));
  EXPECT_EQ(chunks[0].segment, 2U);
  EXPECT_THAT(chunks[0].text, HasSubstr("\"first_step\":2"));
}

TEST(Recorder, MemoryKeepsTheLatestStepsWhateverTheDiskDoes) {
  Recorder r = recorder({.memory_max = 200_B});
  for (int i = 0; i < 100; ++i)
    r.record(Tick{}, Timer{}, {});
  EXPECT_EQ(r.steps(), 100U);
  const auto blocks = r.latest().blocks();
  ASSERT_FALSE(blocks.empty());
  std::size_t bytes = 0;
  for (const auto& block : blocks) {
    bytes += block->size();
    EXPECT_THAT(*block, StartsWith("{\"step\":")) << "blocks hold whole lines";
  }
  EXPECT_LE(bytes, 200U);
  EXPECT_EQ(bytes, r.latest().bytes());
  EXPECT_THAT(*blocks.back(), HasSubstr("{\"step\":100,"));
  EXPECT_FALSE(r.has_pending());
}

TEST(LatestSteps, ABlockThatWasHandedOutStays) {
  LatestSteps steps(1_KiB);
  steps.append("a\n");
  const auto before = steps.blocks();
  for (int i = 0; i < 1000; ++i)
    steps.append("another line of some length\n");
  ASSERT_THAT(before, SizeIs(1));
  EXPECT_EQ(*before[0], "a\n");
  EXPECT_LE(steps.bytes(), 1024U);
}

TEST(LatestSteps, ALineLargerThanTheBoundIsKeptAlone) {
  LatestSteps steps(100_B);
  steps.append("small\n");
  steps.append(std::string(500, 'x') + "\n");
  const auto blocks = steps.blocks();
  ASSERT_THAT(blocks, SizeIs(1));
  EXPECT_EQ(blocks[0]->size(), 501U);
}

TEST(Recorder, ATimeOfDayThatMovedBeginsASegment) {
  Recorder r = recorder();
  record(r);
  r.clock_moved(4711);
  EXPECT_TRUE(r.needs_segment());
  record(r);
  record(r);
  const auto chunks = r.take();
  ASSERT_THAT(chunks, SizeIs(2));
  const auto header = decode_header(chunks[1].text.substr(0, chunks[1].text.find('\n')));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->unix_us_at_zero, 4711);
  EXPECT_EQ(header->run, "run");
  EXPECT_EQ(header->first_step, 2U);
  EXPECT_FALSE(header->gap);
}

}  // namespace
}  // namespace tonnage::journal
