#include "daemon/governor_loop.h"

#include <algorithm>
#include <utility>

#include "base/loop_clock.h"

namespace tonnage {
namespace {

// How often the core's books are added up. It takes some microseconds for each server and request.
constexpr Duration kLookEvery = 10s;

}  // namespace

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
    // Samples come each second, whatever else happens, and no client waits for one.
    if (std::holds_alternative<PoolSampled>(event) && at >= next_look_)
      look_for_violations(at);
    Actions actions = std::exchange(actions_, {});
    for (Action& action : actions)
      sink_.carry_out(std::move(action));
    actions.clear();
    actions_ = std::move(actions);
  }
  running_ = false;
  arm();
}

void GovernorLoop::look_for_violations(Tick now) {
  next_look_ = now + kLookEvery;
  const std::vector<Violation> before =
      std::exchange(violations_, look_ ? look_() : governor_.violations());
  for (const Violation& violation : violations_) {
    const bool known = std::ranges::any_of(
        before, [&](const Violation& other) { return other.text == violation.text; });
    if (!known && told_)
      told_(violation);
  }
}

Snapshot GovernorLoop::snapshot() const {
  Snapshot snapshot = governor_.snapshot(now());
  for (const Violation& violation : violations_)
    snapshot.problems.push_back({"invariant_broken", "internal error: " + violation.text});
  return snapshot;
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
