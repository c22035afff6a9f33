#include "daemon/loop_pulse.h"

#include <utility>

#include <spdlog/spdlog.h>

namespace tonnage {

std::optional<std::int64_t> WallWatch::look(Tick now, std::int64_t unix_us) {
  const std::int64_t zero = unix_us - now.time_since_epoch().count();
  const Duration off = std::chrono::abs(Duration(zero - unix_us_at_zero_));
  if (off <= kMoveMin)
    return std::nullopt;
  unix_us_at_zero_ = zero;
  return zero;
}

LoopPulse::LoopPulse(boost::asio::io_context& io, std::function<Tick()> now,
                     std::int64_t unix_us_at_zero, Moved moved)
    : timer_(io), now_(std::move(now)), wall_(unix_us_at_zero), moved_(std::move(moved)) {}

void LoopPulse::start() {
  LoopClock::follow();
  beat();
}

void LoopPulse::stop() {
  timer_.cancel();
}

void LoopPulse::beat() {
  const Tick now = now_();
  const auto pause = LoopClock::paused() - std::exchange(paused_, LoopClock::paused());
  if (pause > LoopClock::duration::zero()) {
    spdlog::warn(
        "the process did not run for {} (frozen, stopped, or no processor); time-outs are "
        "extended by that",
        rounded_text(std::chrono::duration_cast<Duration>(pause)));
  }
  const auto unix_time = std::chrono::system_clock::now().time_since_epoch();
  const auto unix_us = std::chrono::duration_cast<Duration>(unix_time).count();
  if (const auto zero = wall_.look(now, unix_us)) {
    spdlog::info(
        "the time of day and the daemon's own clock went apart (suspend, a pause, or a "
        "clock that was set); times are given by the new one from here on");
    moved_(now, *zero);
  }
  wait();
}

void LoopPulse::wait() {
  timer_.expires_after(LoopClock::kLookMax);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error)
      beat();
  });
}

}  // namespace tonnage
