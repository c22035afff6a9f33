#include "journal/history_recorder.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

constexpr std::int64_t kRecordedAt = 1'700'000'100;
constexpr std::int64_t kRetry = 6;

class Recording : public testing::Test {
 protected:
  Recording() : folder_(testing::TempDir() + "tonnage-recorder-XXXXXX") {
    EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
  }
  ~Recording() override {
    std::error_code error;
    std::filesystem::permissions(state(), std::filesystem::perms::owner_all, error);
    std::filesystem::remove_all(folder_, error);
  }

  std::filesystem::path state() const { return std::filesystem::path(folder_) / "state"; }
  std::filesystem::path file() const { return state() / "history.sqlite"; }
  HistoryRecorder recorder() const { return {file(), {}, kRetry}; }

  // The next sample, ten seconds after the one before.
  HistorySample next(std::size_t models = 1) {
    HistorySample sample;
    sample.at_s = kRecordedAt + 10 * count_++;
    sample.pools.push_back({"host", 16_GiB, 8_GiB, 2_GiB, 1_GiB, 1_GiB, 5_GiB});
    for (std::size_t i = 0; i < models; ++i)
      sample.models.push_back({"model-" + std::to_string(i), 4_GiB, 1_GiB, 1_GiB, 0});
    return sample;
  }

  std::string folder_;
  std::int64_t count_ = 0;
};

TEST_F(Recording, MakesItsFolderForItsOwnerOnly) {
  HistoryRecorder recorder = this->recorder();
  EXPECT_TRUE(recorder.record(next()).empty());
  struct stat info{};
  ASSERT_EQ(::stat(state().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
  EXPECT_EQ(recorder.query({kRecordedAt, kRecordedAt + 60, 10, {}})->points.size(), 1u);
}

TEST_F(Recording, ADamagedFileIsKeptAndANewOneBegun) {
  std::filesystem::create_directory(state());
  std::ofstream(file()) << std::string(5000, 'x');
  HistoryRecorder recorder = this->recorder();
  const auto notices = recorder.record(next());
  ASSERT_EQ(notices.size(), 1u);
  EXPECT_TRUE(notices[0].bad);
  EXPECT_NE(notices[0].text.find("history.sqlite.corrupt-1"), std::string::npos) << notices[0].text;
  EXPECT_EQ(std::filesystem::file_size(file().string() + ".corrupt-1"), 5000u);
  EXPECT_TRUE(recorder.record(next()).empty());
  EXPECT_EQ(recorder.query({kRecordedAt, kRecordedAt + 60, 10, {}})->points.size(), 2u);
}

TEST_F(Recording, AFileThatIsDamagedUnderItsHandsIsReplacedToo) {
  HistoryRecorder recorder = this->recorder();
  for (int i = 0; i < 50; ++i)
    EXPECT_TRUE(recorder.record(next(20)).empty());
  // All but the header, in the file and in what is not yet written back.
  for (const std::string& name : {file().string(), file().string() + "-wal"}) {
    std::fstream stream(name, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(100);
    stream << std::string(std::filesystem::file_size(name) - 100, '\xA5');
  }
  // What it holds in memory may serve for a while; the damage is met at the latest by the next run.
  HistoryRecorder later = this->recorder();
  const auto notices = later.record(next());
  ASSERT_EQ(notices.size(), 1u);
  EXPECT_NE(notices[0].text.find("is damaged"), std::string::npos) << notices[0].text;
  EXPECT_TRUE(later.record(next()).empty());
}

TEST_F(Recording, AFolderThatWentIsMadeAnew) {
  HistoryRecorder recorder = this->recorder();
  EXPECT_TRUE(recorder.record(next()).empty());
  std::filesystem::remove_all(state());
  EXPECT_TRUE(recorder.record(next()).empty());
  EXPECT_TRUE(std::filesystem::exists(file()));
  EXPECT_EQ(recorder.query({kRecordedAt, kRecordedAt + 60, 10, {}})->points.size(), 1u);
}

TEST_F(Recording, AFullDiskIsSaidOnceTriedSeldomAndOvercome) {
  HistoryRecorder recorder = this->recorder();
  EXPECT_TRUE(recorder.record(next()).empty());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{.rlim_cur = rlim_t{32} * 1024, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  std::vector<HistoryNotice> notices;
  for (int i = 0; i < 2000 && notices.empty(); ++i)
    notices = recorder.record(next(50));
  std::size_t more = 0;
  for (int i = 0; i < 20; ++i)
    more += recorder.record(next(50)).size();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);

  ASSERT_EQ(notices.size(), 1u) << "the limit was never met";
  EXPECT_TRUE(notices[0].bad);
  EXPECT_NE(notices[0].text.find(file().string()), std::string::npos) << notices[0].text;
  EXPECT_NE(notices[0].text.find("no memory history is kept"), std::string::npos);
  EXPECT_EQ(more, 0u) << "it was said more than once";

  // With room again, samples are taken, and when they are taken for good that is said.
  for (int i = 0; i < 2 * kRetry && notices.size() == 1; ++i) {
    for (const HistoryNotice& notice : recorder.record(next()))
      notices.push_back(notice);
  }
  ASSERT_EQ(notices.size(), 2u);
  EXPECT_FALSE(notices[1].bad);
  EXPECT_NE(notices[1].text.find("kept again"), std::string::npos);
  EXPECT_TRUE(recorder.record(next()).empty());
}

TEST_F(Recording, WhereNothingCanBeMadeItTriesSeldom) {
  std::ofstream(state()) << "a file where the folder should be";
  HistoryRecorder recorder = this->recorder();
  ASSERT_EQ(recorder.record(next()).size(), 1u);
  std::filesystem::remove(state());
  for (std::int64_t i = 1; i < kRetry; ++i)
    EXPECT_TRUE(recorder.record(next()).empty()) << i;
  EXPECT_FALSE(std::filesystem::exists(file())) << "it tried too soon";
  EXPECT_TRUE(recorder.record(next()).empty());
  EXPECT_TRUE(std::filesystem::exists(file()));
}

TEST_F(Recording, WhatIsThereCanBeReadWhileNothingCanBeWritten) {
  {
    HistoryRecorder recorder = this->recorder();
    EXPECT_TRUE(recorder.record(next()).empty());
  }
  HistoryRecorder reader = this->recorder();
  EXPECT_EQ(reader.query({kRecordedAt, kRecordedAt + 60, 10, {}})->points.size(), 1u);
  EXPECT_FALSE(HistoryRecorder("/nonexistent/x.sqlite", {}, 1).query({0, 1, 1, {}}));
}

}  // namespace
}  // namespace tonnage
