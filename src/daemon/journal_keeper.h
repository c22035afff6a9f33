// JournalKeeper: records every step of the core, on disk off the loop, and tells stories from it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include "config/config.h"
#include "daemon/governor_loop.h"
#include "journal/recorder.h"
#include "journal/segment_files.h"
#include "journal/story.h"

namespace tonnage {

// The loop's thread encodes; files are written by a thread of their own, a fifth of a second later
// at the most. What goes wrong with the disk is said once and tried again; serving never waits for
// it.
class JournalKeeper final : public StepObserver {
 public:
  JournalKeeper(boost::asio::io_context& io, const Config& config, std::int64_t unix_us_at_zero);
  // Writes what is left.
  ~JournalKeeper() override;

  void before_step(const Governor& governor) override;
  void stepped(Tick now, const Event& event, const Actions& actions) override;

  // What the latest steps say of a request. `done` is called later, on the loop's thread.
  using Told = std::function<void(std::vector<journal::StoryLine>)>;
  void tell_request(RequestId request, const Policy& policy, Told done);

 private:
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
  boost::asio::thread_pool worker_{1};
};

}  // namespace tonnage
