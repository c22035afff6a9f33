// TimerWheel: many coarse timeouts behind one steady_timer, so that arming costs no system call.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>

#include "base/loop_clock.h"
#include "base/tick.h"

namespace tonnage::net {

// Loop thread only. Deadlines are met up to two steps late, never early.
class TimerWheel {
 public:
  using Clock = LoopClock;

 private:
  struct Link {
    Link* next = this;
    Link* previous = this;
    void unlink();
    void append(Link& item);
  };

 public:
  // One timeout of one owner. Disarms itself when destroyed. Firing disarms first, so the owner may
  // arm again, or destroy the timer, in its callback.
  class Timer : private Link {
   public:
    template <auto kMember, typename Owner>
    static Timer calling(TimerWheel& wheel, Owner* owner) {
      return Timer(wheel, owner, [](void* p) { (static_cast<Owner*>(p)->*kMember)(); });
    }
    ~Timer() { disarm(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    // Arms or moves. A deadline that moves later is stored only; the wheel looks at it when the old
    // one comes up, which keeps a timeout that every read extends nearly free.
    void arm(Clock::time_point deadline);
    void arm_in(Duration delay) { arm(Clock::now() + delay); }
    void disarm();
    bool armed() const { return armed_; }

   private:
    friend class TimerWheel;
    Timer(TimerWheel& wheel, void* owner, void (*fire)(void*))
        : wheel_(wheel), owner_(owner), fire_(fire) {}

    TimerWheel& wheel_;
    void* owner_;
    void (*fire_)(void*);
    Clock::time_point deadline_{};
    std::int64_t slot_tick_ = 0;
    bool armed_ = false;
  };

  TimerWheel(boost::asio::io_context& io, Duration step);
  ~TimerWheel();
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

 private:
  using AsioTimer = boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>,
                                                      boost::asio::io_context::executor_type>;

  std::int64_t tick_of(Clock::time_point when) const;
  void place(Timer& timer);
  void schedule();
  void skip_to_now();
  void turn();

  AsioTimer timer_;
  Clock::duration step_;
  Clock::time_point origin_;
  std::vector<Link> slots_;
  std::int64_t turned_to_ = 0;  // all slots up to this tick were visited
  std::size_t armed_ = 0;
  bool scheduled_ = false;
  // A completion that was queued before the wheel went finds this expired.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tonnage::net
