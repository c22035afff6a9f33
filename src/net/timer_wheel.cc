#include "net/timer_wheel.h"

#include <algorithm>

#include "base/check.h"

namespace tonnage::net {

namespace {
// A power of two is not needed, but one turn should cover the usual timeouts (100 s at 100 ms).
constexpr std::int64_t kSlots = 1024;
}  // namespace

void TimerWheel::Link::unlink() {
  next->previous = previous;
  previous->next = next;
  next = previous = this;
}

void TimerWheel::Link::append(Link& item) {
  item.previous = previous;
  item.next = this;
  previous->next = &item;
  previous = &item;
}

TimerWheel::TimerWheel(boost::asio::io_context& io, Duration step)
    : timer_(io.get_executor()), step_(step), origin_(Clock::now()), slots_(kSlots) {
  TONNAGE_CHECK(step > Duration::zero(), "a wheel needs a positive step");
}

TimerWheel::~TimerWheel() {
  TONNAGE_CHECK(armed_ == 0, "a timer outlives its wheel");
}

std::int64_t TimerWheel::tick_of(Clock::time_point when) const {
  return (when - origin_ + step_ - Clock::duration(1)) / step_;  // rounded up: never early
}

void TimerWheel::Timer::arm(Clock::time_point deadline) {
  const bool later = armed_ && deadline >= deadline_;
  deadline_ = deadline;
  if (later)
    return;
  if (!armed_) {
    // After a pause without timers no slot in between needs a visit.
    if (wheel_.armed_ == 0 && !wheel_.scheduled_)
      wheel_.skip_to_now();
    armed_ = true;
    ++wheel_.armed_;
  } else {
    unlink();
  }
  wheel_.place(*this);
  wheel_.schedule();
}

void TimerWheel::Timer::disarm() {
  if (!armed_)
    return;
  armed_ = false;
  --wheel_.armed_;
  unlink();
}

void TimerWheel::place(Timer& timer) {
  // Further away than one turn: look again when the turn is over.
  const std::int64_t first = turned_to_ + 1;
  const std::int64_t tick = std::clamp(tick_of(timer.deadline_), first, turned_to_ + kSlots);
  timer.slot_tick_ = tick;
  slots_[static_cast<std::size_t>(tick % kSlots)].append(timer);
}

void TimerWheel::schedule() {
  if (scheduled_ || armed_ == 0)
    return;
  scheduled_ = true;
  timer_.expires_at(origin_ + (turned_to_ + 1) * step_);
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
    if (error || alive.expired())
      return;
    scheduled_ = false;
    turn();
  });
}

void TimerWheel::skip_to_now() {
  turned_to_ = std::max(turned_to_, static_cast<std::int64_t>((Clock::now() - origin_) / step_));
}

void TimerWheel::turn() {
  const auto now = Clock::now();
  const std::int64_t now_tick = (now - origin_) / step_;
  Link due;
  const std::int64_t turns = std::min(now_tick - turned_to_, kSlots);
  for (std::int64_t i = 1; i <= turns; ++i) {
    Link& slot = slots_[static_cast<std::size_t>((turned_to_ + i) % kSlots)];
    while (slot.next != &slot) {
      Link& item = *slot.next;
      item.unlink();
      due.append(item);
    }
  }
  turned_to_ = std::max(turned_to_, now_tick);
  while (due.next != &due) {
    Timer& timer = *static_cast<Timer*>(due.next);
    timer.unlink();
    if (timer.deadline_ > now) {
      place(timer);
      continue;
    }
    timer.armed_ = false;
    --armed_;
    timer.fire_(timer.owner_);
  }
  schedule();
}

}  // namespace tonnage::net
