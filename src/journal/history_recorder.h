// HistoryRecorder: keeps a history going through damaged files, full disks and folders that vanish.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "journal/history_store.h"

namespace tonnage {

// What a person should know, said once: when it begins to fail, when it works again.
struct HistoryNotice {
  bool bad = true;
  std::string text;
};

// Blocks on the disk: for a worker's thread.
class HistoryRecorder {
 public:
  // After a failure the next `retry_samples` - 1 samples are dropped and then one is tried; what
  // has failed works again after that many samples in a row.
  HistoryRecorder(std::filesystem::path file, const HistoryLimits& limits,
                  std::int64_t retry_samples);

  std::vector<HistoryNotice> record(const HistorySample& sample);
  // Of the file as it is, even while nothing can be written to it.
  Result<HistoryAnswer> query(const HistoryQuery& query);

 private:
  Result<void> try_record(const HistorySample& sample, std::vector<HistoryNotice>& notices);
  std::expected<void, HistoryError> write(const HistorySample& sample);
  Result<void> make_folder() const;

  std::filesystem::path file_;
  HistoryLimits limits_;
  std::int64_t retry_samples_;
  std::optional<HistoryStore> store_;
  std::optional<std::int64_t> aged_at_s_;
  bool failing_ = false;
  std::int64_t dropped_ = 0;  // since the last failure
  std::int64_t written_ = 0;  // since the last failure
};

}  // namespace tonnage
