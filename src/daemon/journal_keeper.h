// JournalKeeper: records every step of the core, on disk off the loop, and tells stories from it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "config/config.h"
#include "daemon/governor_loop.h"
#include "journal/recorder.h"
#include "journal/segment_files.h"
#include "journal/story.h"
#include "process/workers.h"

namespace tonnage {

// The loop's thread encodes; files are written by a thread of their own, a fifth of a second later
// at the most. What goes wrong with the disk is said once and tried again; serving never waits for
// it. Stories are told by another thread, all that were asked for meanwhile in one reading, so that
// a crowd of readers costs the memory and the time of one.
class JournalKeeper final : public StepObserver {
 public:
  JournalKeeper(boost::asio::io_context& io, Workers& workers, const Config& config,
                std::int64_t unix_us_at_zero);
  // Writes what is left.
  ~JournalKeeper() override;

  void before_step(const Governor& governor) override;
  void stepped(Tick now, const Event& event, const Actions& actions) override;

  // From now on Tick zero is another time of day.
  void clock_moved(std::int64_t unix_us_at_zero) { recorder_.clock_moved(unix_us_at_zero); }

  // What the latest steps say of a request. `done` is called later, on the loop's thread. Empty
  // when kAskedMax are waiting already; else a number for forget_story().
  using Told = std::function<void(std::vector<journal::StoryLine>)>;
  std::optional<std::uint64_t> tell_request(RequestId request, const Policy& policy, Told done);
  // Nobody waits for it any longer; `done` is not called.
  void forget_story(std::uint64_t question);

  // Waiting for the reading at hand or in it. Each costs a walk over some ten thousand steps.
  static constexpr std::size_t kAskedMax = 32;

 private:
  struct Question {
    RequestId request;
    Told done;
  };
  using Stories = std::map<std::uint64_t, journal::Story>;

  void read_stories();
  void told(Stories stories);
  void arm();
  void flush();
  void written(const Result<void>& result);

  boost::asio::io_context& io_;
  const bool enabled_;
  journal::Recorder recorder_;
  journal::SegmentFiles files_;
  boost::asio::steady_timer timer_;
  bool armed_ = false;
  bool failing_ = false;
  std::chrono::steady_clock::time_point retry_at_;
  std::map<std::uint64_t, Question> asked_;
  std::uint64_t next_question_ = 1;
  bool reading_ = false;
  const Policy* policy_ = nullptr;  // of the core, for the names of models
  Workers::Lane lane_;
  Workers::Lane reader_;
};

}  // namespace tonnage
