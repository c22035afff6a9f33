#include "journal/history_recorder.h"

#include <cstdlib>
#include <utility>

namespace tonnage {
namespace {

constexpr std::int64_t kAgeEverySeconds = 3600;

}  // namespace

HistoryRecorder::HistoryRecorder(std::filesystem::path file, const HistoryLimits& limits,
                                 std::int64_t retry_samples)
    : file_(std::move(file)), limits_(limits), retry_samples_(retry_samples) {}

std::vector<HistoryNotice> HistoryRecorder::record(const HistorySample& sample) {
  std::vector<HistoryNotice> notices;
  if (failing_ && written_ == 0 && ++dropped_ < retry_samples_)
    return notices;
  const auto done = try_record(sample, notices);
  if (done) {
    // A disk that is nearly full takes a sample now and then; that is no news.
    if (failing_ && ++written_ >= retry_samples_) {
      failing_ = false;
      notices.push_back({false, "the memory history is kept again, in " + file_.string()});
    }
    return notices;
  }
  // Whatever it was: the next try begins from the file's name.
  store_.reset();
  dropped_ = written_ = 0;
  if (!std::exchange(failing_, true)) {
    notices.push_back({true, done.error().text() +
                                 "; no memory history is kept until this is mended, all else goes "
                                 "on"});
  }
  return notices;
}

Result<void> HistoryRecorder::try_record(const HistorySample& sample,
                                         std::vector<HistoryNotice>& notices) {
  if (store_ && store_->has_moved())
    store_.reset();
  auto written = write(sample);
  if (!written && written.error().corrupt) {
    store_.reset();
    const auto kept = set_aside(file_);
    if (!kept)
      return std::unexpected(kept.error());
    notices.push_back({true, "the memory history " + file_.string() + " is damaged (" +
                                 written.error().error.why + "): it is kept as " + kept->string() +
                                 ", and a new one is begun"});
    written = write(sample);
  }
  if (!written)
    return std::unexpected(written.error().error);
  return {};
}

std::expected<void, HistoryError> HistoryRecorder::write(const HistorySample& sample) {
  if (!store_) {
    if (const auto made = make_folder(); !made)
      return std::unexpected(HistoryError{made.error()});
    auto opened = HistoryStore::open(file_, limits_);
    if (!opened)
      return std::unexpected(opened.error());
    store_.emplace(std::move(*opened));
    aged_at_s_.reset();
  }
  if (auto added = store_->add(sample); !added)
    return added;
  // Either way round: a clock may be set back.
  if (aged_at_s_ && std::abs(sample.at_s - *aged_at_s_) < kAgeEverySeconds)
    return {};
  auto aged = store_->age(sample.at_s);
  if (aged)
    aged_at_s_ = sample.at_s;
  return aged;
}

Result<void> HistoryRecorder::make_folder() const {
  const std::filesystem::path folder = file_.parent_path();
  std::error_code error;
  if (std::filesystem::is_directory(folder, error))
    return {};
  if (!std::filesystem::create_directories(folder, error) && error) {
    return fail("cannot make the folder", folder.string(), error.message(),
                "set state_dir to a folder that can be written");
  }
  // Which models somebody runs, and when, is nobody else's business.
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  return {};
}

Result<HistoryAnswer> HistoryRecorder::query(const HistoryQuery& query) {
  if (!store_) {
    auto opened = HistoryStore::open_to_read(file_, limits_);
    if (!opened)
      return std::unexpected(opened.error().error);
    auto answer = opened->query(query);
    if (!answer)
      return std::unexpected(answer.error().error);
    return std::move(*answer);
  }
  auto answer = store_->query(query);
  if (!answer)
    return std::unexpected(answer.error().error);
  return std::move(*answer);
}

}  // namespace tonnage
