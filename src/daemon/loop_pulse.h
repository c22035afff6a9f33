// LoopPulse: looks at the clocks twice a second, so that pauses of the process and jumps of the
// time of day are noticed and said.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/loop_clock.h"
#include "base/tick.h"

namespace tonnage {

// When the time of day and Ticks no longer go together as they did: after suspend and after a
// pause, which Ticks do not count, and when somebody, or NTP, sets the clock.
class WallWatch {
 public:
  explicit WallWatch(std::int64_t unix_us_at_zero) : unix_us_at_zero_(unix_us_at_zero) {}

  // The new time of day at Tick zero where it is off by more than kMoveMin. Less is corrected by
  // NTP every now and then, and nobody would see it.
  std::optional<std::int64_t> look(Tick now, std::int64_t unix_us);

  static constexpr Duration kMoveMin = 1s;

 private:
  std::int64_t unix_us_at_zero_;
};

// From start() on the calling thread is the one that LoopClock::follow()s. Loop thread only.
class LoopPulse {
 public:
  // `now` is the core's. `moved` gets the time of day at Tick zero that holds from that Tick on.
  using Moved = std::function<void(Tick from, std::int64_t unix_us_at_zero)>;
  LoopPulse(boost::asio::io_context& io, std::function<Tick()> now, std::int64_t unix_us_at_zero,
            Moved moved);

  void start();
  void stop();

 private:
  void beat();
  void wait();

  boost::asio::steady_timer timer_;  // a LoopTimer could not notice a pause
  std::function<Tick()> now_;
  WallWatch wall_;
  Moved moved_;
  LoopClock::duration paused_{};
};

}  // namespace tonnage
