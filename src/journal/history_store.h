// HistoryStore: memory over time in one SQLite file, thinned as it ages and bounded in size.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/tick.h"
#include "journal/sqlite.h"

namespace tonnage {

// Times are Unix seconds. Byte figures are as in the snapshot of the core: what a model reserves
// and measures is without its mapped weights.
struct HistoryPool {
  std::string pool;
  Bytes capacity, budget;
  Bytes foreign, reserved, measured, headroom;
};
struct HistoryModel {  // of a model with a server
  std::string model;
  Bytes weights, reserved, measured;
  std::int64_t leases = 0;
};
struct HistorySample {
  std::int64_t at_s = 0;
  std::int64_t span_s = 10;  // the time that it stands for
  std::vector<HistoryPool> pools;
  std::vector<HistoryModel> models;
};

// What a step of the history holds: means, and the extremes that a mean hides.
struct PoolPoint {
  HistoryPool mean;  // capacity and budget: the largest
  Bytes foreign_max, reserved_max, measured_max, headroom_min;
};
struct ModelPoint {
  HistoryModel mean;  // over the time that it had a server; weights: the largest
  Bytes reserved_max, measured_max;
  std::int64_t leases_max = 0;
};
struct HistoryPoint {
  std::int64_t at_s = 0;  // where the step begins
  std::vector<PoolPoint> pools;
  std::vector<ModelPoint> models;
};

struct HistoryQuery {
  std::int64_t since_s = 0;
  std::int64_t until_s = 0;
  std::int64_t step_s = 10;
  std::optional<std::string> model;  // empty: every model
};
struct HistoryAnswer {
  std::int64_t step_s = 0;  // longer than asked for where the answer would be too large
  bool model_known = true;  // false: the history never saw the model that was asked for
  std::vector<HistoryPoint> points;
};

struct HistoryLimits {
  Duration fine_keep = 24h;  // as sampled
  Duration coarse_step = 5min;
  Duration keep = 24h * 30;
  // About 30 days of 40 models that run all the time.
  Bytes bytes_max = 64_MiB;
  // An answer of more would be megabytes of text.
  std::int64_t answer_rows_max = 20'000;
};

struct HistoryError {
  Error error;
  bool corrupt = false;  // the file is damaged, or no database at all
};

// Blocks on the disk: for a worker's thread. What fails leaves the file as it was.
class HistoryStore {
 public:
  // Creates the file where there is none. A file of another program, of a newer tonnage, or one
  // that is damaged is an error.
  static std::expected<HistoryStore, HistoryError> open(const std::filesystem::path& file,
                                                        const HistoryLimits& limits);
  // The same without changing anything, beside the daemon that writes it.
  static std::expected<HistoryStore, HistoryError> open_to_read(const std::filesystem::path& file,
                                                                const HistoryLimits& limits);

  // A second sample of the same time replaces nothing.
  std::expected<void, HistoryError> add(const HistorySample& sample);
  // Thins and deletes what is old enough at `now_s`.
  std::expected<void, HistoryError> age(std::int64_t now_s);
  std::expected<HistoryAnswer, HistoryError> query(HistoryQuery query);

  // Whether the file was deleted, moved or replaced while it is open here.
  bool has_moved() const { return database_.has_moved(); }
  // What the file's contents take up; the file itself may be larger.
  Result<Bytes> used();

 private:
  HistoryStore(Database database, const HistoryLimits& limits)
      : database_(std::move(database)), limits_(limits) {}

  Result<void> check_file(bool may_be_new);
  Result<void> prepare_file();
  Result<void> add_rows(const HistorySample& sample);
  Result<void> age_rows(std::int64_t now_s);
  Result<void> keep_within_bytes();
  Result<HistoryAnswer> answer(HistoryQuery query);
  Result<std::int64_t> subject(int kind, const std::string& name);
  Result<std::optional<std::int64_t>> find_subject(int kind, const std::string& name);
  // Runs `work` within a transaction.
  template <typename Work>
  std::expected<void, HistoryError> transact(Work work);
  HistoryError error_of(Error error) const;

  bool damaged_ = false;  // the check of the whole file found something
  Database database_;
  HistoryLimits limits_;
  std::map<std::pair<int, std::string>, std::int64_t> subjects_;
  std::optional<Statement> add_pool_, add_model_;
};

// Moves a damaged file, and what belongs to it, out of the way: FILE.corrupt-1, or the next number
// that is free; the last of kCorruptKept numbers is used again. Returns the new name.
inline constexpr int kCorruptKept = 9;
Result<std::filesystem::path> set_aside(const std::filesystem::path& file);

}  // namespace tonnage
