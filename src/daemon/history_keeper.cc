#include "daemon/history_keeper.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include "daemon/history_view.h"

namespace tonnage {
namespace {

// After a failure a full disk is asked again this often.
constexpr Duration kRetryEvery = 1min;

HistoryLimits limits_of(const HistoryConfig& config) {
  HistoryLimits limits;
  limits.keep = config.keep;
  return limits;
}

std::int64_t unix_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

}  // namespace

HistoryKeeper::HistoryKeeper(boost::asio::io_context& io, Workers& workers, const Config& config,
                             std::function<Snapshot()> snapshot)
    : io_(io),
      timer_(io),
      config_(config.history),
      snapshot_(std::move(snapshot)),
      recorder_(history_file(config.state_dir), limits_of(config.history),
                std::max<std::int64_t>(1, kRetryEvery / config.history.every)),
      lane_(workers.lane("history")) {}

HistoryKeeper::~HistoryKeeper() {
  lane_.drain();
}

void HistoryKeeper::start() {
  if (!config_.enabled)
    return;
  sample();
  wait();
}

void HistoryKeeper::stop() {
  timer_.cancel();
}

void HistoryKeeper::wait() {
  timer_.expires_after(config_.every);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error)
      return;
    sample();
    wait();
  });
}

void HistoryKeeper::sample() {
  // A disk that is slower than the samples come must not heap them up.
  if (std::exchange(writing_, true))
    return;
  writing_ =
      lane_.post([this, sample = history_sample(snapshot_(), unix_seconds(), config_.every)] {
        auto notices = recorder_.record(sample);
        boost::asio::post(io_, [this, notices = std::move(notices)] {
          writing_ = false;
          for (const HistoryNotice& notice : notices)
            spdlog::log(notice.bad ? spdlog::level::warn : spdlog::level::info, "{}", notice.text);
        });
      });
}

bool HistoryKeeper::query(HistoryQuery query, Done done) {
  if (asked_.size() >= kQuestionsMax)
    return false;
  // What `done` holds belongs to the loop and stays here.
  const std::uint64_t number = next_question_++;
  asked_[number] = std::move(done);
  const bool taken = lane_.post([this, number, query = std::move(query)] {
    Result<Found> found;
    if (const auto answer = recorder_.query(query)) {
      found = Found{answer->model_known, history_json(*answer, query)};
    } else {
      found = std::unexpected(answer.error());
    }
    boost::asio::post(io_, [this, number, found = std::move(found)]() mutable {
      auto question = asked_.extract(number);
      question.mapped()(std::move(found));
    });
  });
  if (!taken)
    asked_.erase(number);
  return taken;
}

}  // namespace tonnage
