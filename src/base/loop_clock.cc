#include "base/loop_clock.h"

#include <atomic>

namespace tonnage {
namespace {

LoopClock::duration system_now() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

std::atomic<LoopClock::Source> source_now{system_now};
std::atomic<LoopClock::rep> paused_count{0};
thread_local bool follows = false;
thread_local PauseFilter filter;

}  // namespace

LoopClock::duration PauseFilter::look(LoopClock::duration steady) {
  const LoopClock::duration gap = last_ ? steady - *last_ : LoopClock::duration::zero();
  last_ = steady;
  return gap > LoopClock::kPauseMin ? gap : LoopClock::duration::zero();
}

LoopClock::time_point LoopClock::now() {
  const duration steady = source_now.load(std::memory_order_relaxed)();
  if (follows) {
    if (const duration pause = filter.look(steady); pause > duration::zero())
      paused_count.fetch_add(pause.count(), std::memory_order_relaxed);
  }
  return time_point(steady - paused());
}

LoopClock::duration LoopClock::paused() {
  return duration(paused_count.load(std::memory_order_relaxed));
}

void LoopClock::follow() {
  follows = true;
  filter = {};
}

void LoopClock::replace_source(Source source) {
  source_now.store(source == nullptr ? system_now : source, std::memory_order_relaxed);
  paused_count.store(0, std::memory_order_relaxed);
  follows = false;
  filter = {};
}

}  // namespace tonnage
