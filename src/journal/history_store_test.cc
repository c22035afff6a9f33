#include "journal/history_store.h"

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <sqlite3.h>

#include "base/prng.h"

namespace tonnage {
namespace {

constexpr std::int64_t kNow = 1'700'000'100;  // a whole number of 5 minutes
constexpr std::int64_t kDay = 86'400;

HistoryLimits limits_of_tests() {
  HistoryLimits limits;
  limits.answer_rows_max = std::int64_t{1} << 40;  // so that a step is as long as it is asked for
  return limits;
}

class History : public testing::Test {
 protected:
  History() : folder_(testing::TempDir() + "tonnage-history-XXXXXX") {
    EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
  }
  ~History() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path file() const { return std::filesystem::path(folder_) / "history.sqlite"; }

  HistoryStore store(const HistoryLimits& limits = limits_of_tests()) {
    auto opened = HistoryStore::open(file(), limits);
    EXPECT_TRUE(opened) << opened.error().error.text();
    return std::move(*opened);
  }

  void write_file(std::string_view bytes) const {
    std::ofstream(file(), std::ios::binary) << bytes;
  }
  void run_sql(const char* sql) const {
    sqlite3* handle = nullptr;
    ASSERT_EQ(::sqlite3_open(file().c_str(), &handle), SQLITE_OK);
    EXPECT_EQ(::sqlite3_exec(handle, sql, nullptr, nullptr, nullptr), SQLITE_OK)
        << ::sqlite3_errmsg(handle);
    ::sqlite3_close(handle);
  }

  std::string folder_;
};

HistorySample sample(std::int64_t at_s, Bytes reserved = 1_GiB, Bytes model = 100_MiB) {
  HistorySample s;
  s.at_s = at_s;
  s.pools.push_back({"host", 16_GiB, 8_GiB, 2_GiB, reserved, 3_MiB, 8_GiB - reserved});
  s.models.push_back({"chat", 4_GiB, model, 50_MiB, 2});
  return s;
}

HistoryAnswer all(HistoryStore& store, std::int64_t step_s = 10,
                  std::optional<std::string> model = {}) {
  auto answer = store.query({kNow - 40 * kDay, kNow + kDay, step_s, std::move(model)});
  EXPECT_TRUE(answer) << answer.error().error.text();
  return answer ? std::move(*answer) : HistoryAnswer{};
}

TEST_F(History, GivesBackWhatItWasGiven) {
  HistoryStore store = this->store();
  ASSERT_TRUE(store.add(sample(kNow)));
  const auto answer = store.query({kNow - 60, kNow + 60, 10, {}});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->step_s, 10);
  ASSERT_EQ(answer->points.size(), 1u);
  const HistoryPoint& point = answer->points[0];
  EXPECT_EQ(point.at_s, kNow);
  ASSERT_EQ(point.pools.size(), 1u);
  EXPECT_EQ(point.pools[0].mean.pool, "host");
  EXPECT_EQ(point.pools[0].mean.capacity, 16_GiB);
  EXPECT_EQ(point.pools[0].mean.budget, 8_GiB);
  EXPECT_EQ(point.pools[0].mean.foreign, 2_GiB);
  EXPECT_EQ(point.pools[0].mean.reserved, 1_GiB);
  EXPECT_EQ(point.pools[0].mean.measured, 3_MiB);
  EXPECT_EQ(point.pools[0].mean.headroom, 7_GiB);
  EXPECT_EQ(point.pools[0].headroom_min, 7_GiB);
  ASSERT_EQ(point.models.size(), 1u);
  EXPECT_EQ(point.models[0].mean.model, "chat");
  EXPECT_EQ(point.models[0].mean.weights, 4_GiB);
  EXPECT_EQ(point.models[0].mean.reserved, 100_MiB);
  EXPECT_EQ(point.models[0].mean.measured, 50_MiB);
  EXPECT_EQ(point.models[0].leases_max, 2);
}

TEST_F(History, StaysWhenItIsOpenedAgain) {
  {
    HistoryStore store = this->store();
    ASSERT_TRUE(store.add(sample(kNow)));
  }
  HistoryStore store = this->store();
  ASSERT_TRUE(store.add(sample(kNow)));  // the same time again
  ASSERT_TRUE(store.add(sample(kNow + 10)));
  EXPECT_EQ(all(store).points.size(), 2u);
}

TEST_F(History, AStepHoldsMeansAndExtremes) {
  HistoryStore store = this->store();
  for (int i = 0; i < 6; ++i) {
    HistorySample s = sample(kNow + i * 10, Bytes((i + 1) * kGiB), Bytes(i * 60 * kMiB));
    s.models[0].leases = i;
    ASSERT_TRUE(store.add(s));
  }
  const HistoryAnswer answer = all(store, 60);
  ASSERT_EQ(answer.points.size(), 1u);
  const PoolPoint& pool = answer.points[0].pools[0];
  EXPECT_EQ(pool.mean.reserved, Bytes(kGiB * 7 / 2));
  EXPECT_EQ(pool.reserved_max, 6_GiB);
  EXPECT_EQ(pool.headroom_min, 2_GiB);
  EXPECT_EQ(answer.points[0].models[0].mean.reserved, 150_MiB);
  EXPECT_EQ(answer.points[0].models[0].reserved_max, 300_MiB);
  EXPECT_EQ(answer.points[0].models[0].leases_max, 5);
}

TEST_F(History, WhatIsADayOldIsThinnedAndWhatIsTooOldGoes) {
  HistoryStore store = this->store();
  const auto fill = [&](std::int64_t from) {
    for (int i = 0; i < 60; ++i)  // ten minutes
      ASSERT_TRUE(store.add(sample(from + i * 10, Bytes((i % 30) * kMiB))));
  };
  fill(kNow - 31 * kDay);
  fill(kNow - 2 * kDay);
  fill(kNow - 3600);
  ASSERT_TRUE(store.age(kNow));
  const HistoryAnswer answer = all(store);
  // Two rows of five minutes, then sixty of ten seconds.
  ASSERT_EQ(answer.points.size(), 62u);
  const PoolPoint& thinned = answer.points[0].pools[0];
  EXPECT_EQ(answer.points[0].at_s, kNow - 2 * kDay);
  EXPECT_EQ(answer.points[1].at_s, kNow - 2 * kDay + 300);
  EXPECT_EQ(thinned.reserved_max, 29_MiB);
  EXPECT_EQ(thinned.mean.reserved, Bytes(kMiB * 29 / 2));
  EXPECT_EQ(thinned.headroom_min, 8_GiB - 29_MiB);
  for (const HistoryPoint& point : answer.points) {
    ASSERT_EQ(point.models.size(), 1u) << point.at_s;
    EXPECT_EQ(point.models[0].mean.reserved, 100_MiB);
    EXPECT_EQ(point.models[0].leases_max, 2);
  }
  // Thinning again changes nothing.
  ASSERT_TRUE(store.age(kNow + 60));
  EXPECT_EQ(all(store).points.size(), 62u);
}

TEST_F(History, AThinnedRowWeighsAsMuchAsItsTime) {
  HistoryStore store = this->store();
  for (int i = 0; i < 30; ++i)
    ASSERT_TRUE(store.add(sample(kNow - 2 * kDay + i * 10, 0_B)));
  ASSERT_TRUE(store.age(kNow));
  for (int i = 0; i < 30; ++i)
    ASSERT_TRUE(store.add(sample(kNow - 2 * kDay + 300 + i * 10, 2_GiB)));
  const HistoryAnswer answer = all(store, 86'400 * 40);
  ASSERT_EQ(answer.points.size(), 1u);
  EXPECT_EQ(answer.points[0].pools[0].mean.reserved, 1_GiB);
}

TEST_F(History, RowsOfAnotherTimeStay) {
  HistoryStore store = this->store();
  ASSERT_TRUE(store.add(sample(kNow)));
  ASSERT_TRUE(store.age(0));  // a clock that begins at 1970
  EXPECT_EQ(all(store).points.size(), 1u);
}

TEST_F(History, NeverGrowsBeyondItsBytes) {
  HistoryLimits limits;
  limits.bytes_max = 256_KiB;
  HistoryStore store = this->store(limits);
  Prng random(7);
  for (int i = 0; i < 3000; ++i) {
    HistorySample s = sample(kNow + i * 10);
    for (int m = 0; m < 10; ++m) {
      s.models.push_back({"model-" + std::to_string(m), 4_GiB,
                          Bytes(static_cast<std::int64_t>(random.next() >> 20)), 1_GiB, 0});
    }
    ASSERT_TRUE(store.add(s));
  }
  EXPECT_LE(store.used()->count, limits.bytes_max.count);
  EXPECT_LE(std::filesystem::file_size(file()), static_cast<std::uintmax_t>(512 * kKiB));
  // The newest are there, the oldest are not.
  EXPECT_EQ(store.query({kNow + 29'990, kNow + 30'000, 10, {}})->points.size(), 1u);
  EXPECT_EQ(store.query({kNow, kNow + 100, 10, {}})->points.size(), 0u);
}

TEST_F(History, AnAnswerIsBoundedByALongerStep) {
  HistoryLimits limits;
  limits.answer_rows_max = 100;
  HistoryStore store = this->store(limits);
  for (int i = 0; i < 600; ++i)
    ASSERT_TRUE(store.add(sample(kNow + i * 10)));
  const auto answer = store.query({kNow, kNow + 6000, 10, {}});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->step_s, 120);  // 50 steps of a pool and a model
  std::size_t rows = 0;
  for (const HistoryPoint& point : answer->points)
    rows += point.pools.size() + point.models.size();
  EXPECT_LE(rows, 102u);  // the first and the last step are parts
}

TEST_F(History, OneModelCanBeAskedFor) {
  HistoryStore store = this->store();
  HistorySample s = sample(kNow);
  s.models.push_back({"org/model:8b 'q4'", 1_GiB, 2_GiB, 3_GiB, 1});
  ASSERT_TRUE(store.add(s));
  const HistoryAnswer one = all(store, 10, "org/model:8b 'q4'");
  EXPECT_TRUE(one.model_known);
  ASSERT_EQ(one.points[0].models.size(), 1u);
  EXPECT_EQ(one.points[0].models[0].mean.reserved, 2_GiB);
  EXPECT_EQ(one.points[0].pools.size(), 1u);
  const HistoryAnswer none = all(store, 10, "nobody");
  EXPECT_FALSE(none.model_known);
  EXPECT_TRUE(none.points[0].models.empty());
}

TEST_F(History, CanBeReadWhileItIsWritten) {
  HistoryStore writer = this->store();
  ASSERT_TRUE(writer.add(sample(kNow)));
  auto reader = HistoryStore::open_to_read(file(), limits_of_tests());
  ASSERT_TRUE(reader) << reader.error().error.text();
  ASSERT_TRUE(writer.add(sample(kNow + 10)));
  EXPECT_EQ(all(*reader).points.size(), 2u);
  EXPECT_FALSE(reader->add(sample(kNow + 20)));
}

TEST_F(History, RubbishIsCalledDamaged) {
  for (const std::string& rubbish :
       {std::string("this is no database, and long enough not to look like the start of one\n"),
        std::string("SQLite format 3\0 and then nothing that fits", 43),
        std::string(8192, '\xFF')}) {
    write_file(rubbish);
    const auto opened = HistoryStore::open(file(), {});
    ASSERT_FALSE(opened);
    EXPECT_TRUE(opened.error().corrupt) << opened.error().error.text();
  }
}

TEST_F(History, ADamagedFileIsFoundWhenItIsOpened) {
  {
    HistoryStore store = this->store();
    for (int i = 0; i < 2000; ++i)
      ASSERT_TRUE(store.add(sample(kNow + i * 10)));
  }
  std::fstream stream(file(), std::ios::in | std::ios::out | std::ios::binary);
  for (int page = 4; page < 20; ++page) {
    stream.seekp(page * 4096);
    stream << std::string(200, '\x5A');
  }
  stream.close();
  const auto opened = HistoryStore::open(file(), {});
  ASSERT_FALSE(opened);
  EXPECT_TRUE(opened.error().corrupt) << opened.error().error.text();
}

TEST_F(History, FilesOfOthersAreLeftAlone) {
  run_sql("CREATE TABLE theirs (a)");
  const auto other = HistoryStore::open(file(), {});
  ASSERT_FALSE(other);
  EXPECT_FALSE(other.error().corrupt);
  EXPECT_NE(other.error().error.text().find("another program"), std::string::npos);
  std::filesystem::remove(file());
  {
    HistoryStore ours = this->store();
  }
  run_sql("PRAGMA user_version = 9");
  const auto newer = HistoryStore::open(file(), {});
  ASSERT_FALSE(newer);
  EXPECT_FALSE(newer.error().corrupt);
  EXPECT_NE(newer.error().error.text().find("schema 9, this one knows 1"), std::string::npos);
}

TEST_F(History, AnEmptyFileIsANewHistoryButNothingToRead) {
  write_file("");
  const auto read = HistoryStore::open_to_read(file(), {});
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().error.text().find("it is empty"), std::string::npos);
  HistoryStore store = this->store();
  EXPECT_TRUE(store.add(sample(kNow)));
}

TEST_F(History, WhereNothingCanBeOpenedTheErrorSaysWhy) {
  const auto missing = HistoryStore::open("/nonexistent/folder/history.sqlite", {});
  ASSERT_FALSE(missing);
  EXPECT_FALSE(missing.error().corrupt);
  EXPECT_NE(missing.error().error.text().find("/nonexistent/folder/history.sqlite"),
            std::string::npos);
  EXPECT_NE(missing.error().error.text().find("No such file"), std::string::npos)
      << missing.error().error.text();
}

TEST_F(History, SeesThatItsFileHasGone) {
  HistoryStore store = this->store();
  EXPECT_FALSE(store.has_moved());
  std::filesystem::remove(file());
  EXPECT_TRUE(store.has_moved());
}

TEST_F(History, DamagedFilesAreKeptUnderNumbersUpToABound) {
  for (int i = 1; i <= kCorruptKept + 2; ++i) {
    write_file("damaged " + std::to_string(i));
    std::ofstream(file().string() + "-wal") << "wal " << i;
    const auto kept = set_aside(file());
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->filename(),
              "history.sqlite.corrupt-" + std::to_string(std::min(i, kCorruptKept)));
    EXPECT_FALSE(std::filesystem::exists(file()));
    EXPECT_FALSE(std::filesystem::exists(file().string() + "-wal"));
    EXPECT_TRUE(std::filesystem::exists(kept->string() + "-wal"));
  }
  EXPECT_FALSE(set_aside(file()));  // there is none
}

}  // namespace
}  // namespace tonnage
