// HistoryKeeper: samples memory into the history and answers questions about it, off the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "config/config.h"
#include "core/snapshot.h"
#include "journal/history_recorder.h"
#include "process/workers.h"

namespace tonnage {

// Loop thread only; the file is touched by a worker. A disk that hangs costs samples and answers,
// never the loop.
class HistoryKeeper {
 public:
  HistoryKeeper(boost::asio::io_context& io, Workers& workers, const Config& config,
                std::function<Snapshot()> snapshot);
  ~HistoryKeeper();
  HistoryKeeper(const HistoryKeeper&) = delete;
  HistoryKeeper& operator=(const HistoryKeeper&) = delete;

  // Samples now and then every `history.every`; nothing where the history is switched off.
  void start();
  void stop();

  bool is_enabled() const { return config_.enabled; }

  struct Found {
    bool model_known = true;  // false: the history never saw the model that was asked for
    std::string json;         // for the API
  };
  using Done = std::move_only_function<void(Result<Found> found)>;
  // The answer is worked out on the worker; `done` runs on the loop, after this call. False when
  // too many questions wait already.
  bool query(HistoryQuery query, Done done);

 private:
  static constexpr std::size_t kQuestionsMax = 16;

  void sample();
  void wait();

  boost::asio::io_context& io_;
  boost::asio::steady_timer timer_;
  HistoryConfig config_;
  std::function<Snapshot()> snapshot_;
  HistoryRecorder recorder_;  // the worker's
  bool writing_ = false;
  std::map<std::uint64_t, Done> asked_;
  std::uint64_t next_question_ = 0;
  Workers::Lane lane_;
};

}  // namespace tonnage
