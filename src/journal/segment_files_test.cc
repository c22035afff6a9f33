#include "journal/segment_files.h"

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "journal/reader.h"

namespace tonnage::journal {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SegmentFilesTest : public ::testing::Test {
 protected:
  SegmentFilesTest() : folder_(fs::path(::testing::TempDir()) / ("journal-" + unique())) {}
  ~SegmentFilesTest() override {
    std::error_code error;
    fs::remove_all(folder_, error);
  }

  static std::string unique() {
    return std::to_string(::getpid()) + "-" +
           ::testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  static std::string header(std::uint64_t first_step = 1) {
    GovernorState state;
    state.policy.pools.push_back({.name = "host", .reserve = {}, .limit = {}});
    state.ledger.pools.resize(1);
    std::string line;
    encode(SegmentHeader{"1", "r", 1, first_step, 0, false, state}, line);
    return line;
  }
  static std::string step(std::uint64_t number) {
    std::string line;
    encode_step(number, Tick{}, Timer{}, {}, line);
    return line;
  }
  fs::path write(const std::string& text) {
    fs::create_directories(folder_);
    std::ofstream(folder_ / "a.jsonl", std::ios::binary) << text;
    return folder_ / "a.jsonl";
  }

  fs::path folder_;
};

TEST_F(SegmentFilesTest, WhatIsWrittenCanBeRead) {
  {
    SegmentFiles files(folder_, "r", 1_MiB, 4_MiB);
    ASSERT_TRUE(files.write({1, true, header() + step(1)}));
    ASSERT_TRUE(files.write({1, false, step(2)}));
  }
  ASSERT_THAT(segments_in(folder_), ElementsAre(folder_ / "r-000001.jsonl"));
  auto reader = SegmentReader::open(folder_ / "r-000001.jsonl");
  ASSERT_TRUE(reader) << reader.error().text();
  for (const std::uint64_t number : {1U, 2U}) {
    const auto next = reader->next();
    ASSERT_TRUE(next && *next);
    EXPECT_EQ((*next)->number, number);
  }
  const auto end = reader->next();
  ASSERT_TRUE(end);
  EXPECT_FALSE(*end);
  EXPECT_FALSE(reader->cut());
}

TEST_F(SegmentFilesTest, TheOldestFilesGoFirstAndThoseOfOthersStay) {
  fs::create_directories(folder_);
  std::ofstream(folder_ / "notes.txt") << std::string(5000, 'x');
  const std::string part(400, 'x');
  SegmentFiles files(folder_, "r", 500_B, 1500_B);
  for (std::uint64_t segment = 1; segment <= 6; ++segment)
    ASSERT_TRUE(files.write({segment, true, part}));
  EXPECT_THAT(segments_in(folder_),
              ElementsAre(folder_ / "r-000004.jsonl", folder_ / "r-000005.jsonl",
                          folder_ / "r-000006.jsonl"));
  EXPECT_TRUE(fs::exists(folder_ / "notes.txt"));
}

TEST_F(SegmentFilesTest, RunsFollowEachOtherByNumberWhateverTheClockSaid) {
  fs::create_directories(folder_);
  const std::vector<std::string> names = {
      "20261121T104500Z-9-000001.jsonl",           // without a number: before all others
      "000002-20261121T104500Z-7-000001.jsonl",    //
      "000002-20261121T104500Z-7-1000000.jsonl",   // more digits than usual
      "000003-19700101T000012Z-7-000001.jsonl",    // a machine whose clock began anew
      "000010-19700101T000012Z-7-000001.jsonl",    // and once more
      "1000000-19700101T000012Z-7-000001.jsonl"};  //
  for (const std::string& name : names)
    std::ofstream(folder_ / name) << "x";
  std::vector<std::string> found;
  for (const fs::path& file : segments_in(folder_))
    found.push_back(file.filename().string());
  EXPECT_EQ(found, names);
  EXPECT_EQ(next_run_number(folder_), 1'000'001U);
  EXPECT_EQ(next_run_number(folder_ / "none"), 1U);
  EXPECT_EQ(name_of_run(7, "a-b"), "000007-a-b");
  const SegmentName parsed = parse_segment_name("000007-a-b-000012.jsonl");
  EXPECT_EQ(parsed, (SegmentName{7, "000007-a-b", 12}));
}

TEST_F(SegmentFilesTest, AFileThatSomebodyDeletedIsSaidAndBegunAnew) {
  SegmentFiles files(folder_, "r", 1_MiB, 4_MiB);
  ASSERT_TRUE(files.write({1, true, header()}));
  fs::remove_all(folder_);
  const auto lost = files.write({1, false, step(1)});
  ASSERT_FALSE(lost);
  EXPECT_THAT(lost.error().text(), HasSubstr("somebody deleted it"));
  EXPECT_FALSE(files.write({1, false, step(1)}));
  EXPECT_TRUE(files.write({2, true, header()}));
  EXPECT_THAT(segments_in(folder_), SizeIs(1));
}

TEST_F(SegmentFilesTest, AFolderThatCannotBeIsAnErrorThatNamesIt) {
  write("not a folder");
  SegmentFiles files(folder_ / "a.jsonl", "r", 1_MiB, 4_MiB);
  const auto result = files.write({1, true, header()});
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().text(), HasSubstr("a.jsonl"));
  EXPECT_THAT(segments_in(folder_ / "nowhere"), IsEmpty());
}

// A limit on the size of files stands for a full disk: the write is cut short in the same way.
TEST_F(SegmentFilesTest, AFullDiskLeavesWholeLines) {
  const std::string first = header() + step(1);
  SegmentFiles files(folder_, "r", 1_MiB, 4_MiB);
  ASSERT_TRUE(files.write({1, true, first}));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = first.size() + 10;
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto result = files.write({1, false, step(2) + step(3)});
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, ignored);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().text(), HasSubstr("cannot write the journal"));
  EXPECT_EQ(fs::file_size(folder_ / "r-000001.jsonl"), first.size());
}

TEST_F(SegmentFilesTest, ALineThatIsCutOffEndsTheFileAndIsSaid) {
  const fs::path file = write(header() + step(1) + step(2).substr(0, 9));
  auto reader = SegmentReader::open(file);
  ASSERT_TRUE(reader);
  ASSERT_TRUE(*reader->next());
  const auto end = reader->next();
  ASSERT_TRUE(end);
  EXPECT_FALSE(*end);
  EXPECT_TRUE(reader->cut());
}

TEST_F(SegmentFilesTest, ADamagedLineIsNamedWithItsPlace) {
  const fs::path file = write(header() + step(1) + "{\"step\":2,\"at\n" + step(3));
  auto reader = SegmentReader::open(file);
  ASSERT_TRUE(reader);
  ASSERT_TRUE(reader->next());
  const auto bad = reader->next();
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().text(), HasSubstr("a.jsonl:3: it is not JSON"));
}

TEST_F(SegmentFilesTest, WhatIsNoJournalIsNotOpened) {
  const auto why = [](const fs::path& file) {
    const auto reader = SegmentReader::open(file);
    return reader ? "" : reader.error().text();
  };
  EXPECT_THAT(why(folder_ / "none"), HasSubstr("it is missing or not readable"));
  EXPECT_THAT(why(write("")), HasSubstr("it is empty"));
  EXPECT_THAT(why(write("{\"journal\"")), HasSubstr("its first line is cut off"));
  EXPECT_THAT(why(write("GGUF\x01\x02\n")), HasSubstr("a.jsonl:1: it is not JSON"));
  EXPECT_THAT(why(folder_), HasSubstr("it is a directory"));
}

}  // namespace
}  // namespace tonnage::journal
