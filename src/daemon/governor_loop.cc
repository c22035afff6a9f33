#include "daemon/governor_loop.h"

#include <utility>

#include "base/loop_clock.h"

namespace tonnage {

GovernorLoop::GovernorLoop(boost::asio::io_context& io, Policy policy, ActionSink& sink)
    : origin_(LoopClock::now()),
      unix_us_at_zero_(
          std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch())
              .count()),
      timer_(io),
      governor_(std::move(policy), Tick{}),
      sink_(sink) {}

Tick GovernorLoop::now() const {
  return Tick{std::chrono::duration_cast<Duration>(LoopClock::now() - origin_)};
}

void GovernorLoop::post(Event event) {
  events_.push_back(std::move(event));
  if (!running_)
    drain();
}

void GovernorLoop::drain() {
  running_ = true;
  while (!events_.empty()) {
    const Event event = std::move(events_.front());
    events_.pop_front();
    if (observer_ != nullptr)
      observer_->before_step(governor_);
    const Tick at = now();
    governor_.step(at, event, actions_);
    if (observer_ != nullptr)
      observer_->stepped(at, event, actions_);
    Actions actions = std::exchange(actions_, {});
    for (Action& action : actions)
      sink_.carry_out(std::move(action));
    actions.clear();
    actions_ = std::move(actions);
  }
  running_ = false;
  arm();
}

void GovernorLoop::arm() {
  const std::optional<Tick> deadline = governor_.next_deadline();
  if (deadline == armed_)
    return;
  armed_ = deadline;
  if (!deadline) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(origin_ + deadline->time_since_epoch());
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error)
      return;
    armed_.reset();
    post(Timer{});
  });
}

}  // namespace tonnage
