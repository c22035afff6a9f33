// GovernorLoop: the one place where events enter the core and actions leave it.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "core/governor.h"
#include "process/loop_timer.h"

namespace tonnage {

// Carries out what the core asks for. Called on the loop's thread; may post further events, which
// are taken up after the current step's actions.
class ActionSink {
 public:
  virtual ~ActionSink() = default;
  virtual void carry_out(Action action) = 0;
};

// Sees every step: before it, the state that it will find; after it, what came of it.
class StepObserver {
 public:
  virtual ~StepObserver() = default;
  virtual void before_step(const Governor& governor) = 0;
  virtual void stepped(Tick now, const Event& event, const Actions& actions) = 0;
};

// Stamps events with a Tick of LoopClock, which stands still while the process does not run, feeds
// them to the Governor one at a time, hands the actions to the sink and keeps one timer for the
// core's next deadline. One thread.
class GovernorLoop {
 public:
  GovernorLoop(boost::asio::io_context& io, Policy policy, ActionSink& sink);

  // Seen from the next event on; null for none.
  void observe(StepObserver* observer) { observer_ = observer; }

  // Told of each broken invariant when it is first seen. `look` is an argument for tests.
  void on_violation(std::function<void(const Violation&)> told,
                    std::function<std::vector<Violation>()> look = {}) {
    told_ = std::move(told);
    look_ = std::move(look);
  }

  void post(Event event);

  Tick now() const;
  // Wall-clock time of Tick zero, in microseconds since 1970, as it was at the start.
  std::int64_t unix_us_at_zero() const { return unix_us_at_zero_; }
  // With what is broken in the core's own books among the problems.
  Snapshot snapshot() const;
  const Governor& governor() const { return governor_; }
  const Policy& policy() const { return governor_.policy(); }

 private:
  void drain();
  void arm();
  void look_for_violations(Tick now);

  LoopClock::time_point origin_;
  std::int64_t unix_us_at_zero_;
  LoopTimer timer_;
  Governor governor_;
  ActionSink& sink_;
  StepObserver* observer_ = nullptr;
  std::function<void(const Violation&)> told_;
  std::function<std::vector<Violation>()> look_;
  std::vector<Violation> violations_;  // as of the last look
  Tick next_look_;
  std::deque<Event> events_;
  Actions actions_;
  std::optional<Tick> armed_;
  bool running_ = false;
};

}  // namespace tonnage
