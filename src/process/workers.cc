#include "process/workers.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "base/check.h"

namespace tonnage {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

struct Workers::LaneState {
  std::string name;
  LaneLimits limits;
  std::deque<std::move_only_function<void()>> waiting;
  std::optional<Clock::time_point> since;  // of the piece that is done now
};

// Everything is guarded by `lock`.
struct Workers::State : std::enable_shared_from_this<Workers::State> {
  void work();
  bool is_idle() const {
    return std::ranges::all_of(
        lanes, [](const auto& lane) { return !lane->since && lane->waiting.empty(); });
  }
  // A lane that has work and no thread.
  std::shared_ptr<LaneState> next() const {
    const auto found = std::ranges::find_if(
        lanes, [](const auto& lane) { return !lane->since && !lane->waiting.empty(); });
    return found == lanes.end() ? nullptr : *found;
  }

  std::mutex lock;
  std::condition_variable wake;     // there is work, or it is over
  std::condition_variable settled;  // a piece was done
  std::vector<std::shared_ptr<LaneState>> lanes;
  std::size_t resting = 0;  // threads that wait for work
  bool ended = false;
};

void Workers::State::work() {
  std::unique_lock guard(lock);
  for (;;) {
    const std::shared_ptr<LaneState> lane = next();
    if (lane == nullptr) {
      if (ended)
        return;
      ++resting;
      wake.wait(guard);
      --resting;
      continue;
    }
    std::move_only_function<void()> piece = std::move(lane->waiting.front());
    lane->waiting.pop_front();
    lane->since = Clock::now();
    guard.unlock();
    piece();
    piece = nullptr;
    guard.lock();
    lane->since.reset();
    settled.notify_all();
  }
}

Workers::Workers() : state_(std::make_shared<State>()) {}

Workers::~Workers() {
  const std::lock_guard guard(state_->lock);
  state_->ended = true;
  state_->wake.notify_all();
}

Workers::Lane Workers::lane(std::string name, LaneLimits limits) {
  auto lane = std::make_shared<LaneState>();
  lane->name = std::move(name);
  lane->limits = limits;
  const std::lock_guard guard(state_->lock);
  state_->lanes.push_back(lane);
  return {state_, std::move(lane)};
}

bool Workers::Lane::post(std::move_only_function<void()> work) {
  TONNAGE_CHECK(work != nullptr, "a piece of work is something");
  const std::lock_guard guard(state_->lock);
  if (lane_->waiting.size() >= lane_->limits.queue_max)
    return false;
  lane_->waiting.push_back(std::move(work));
  if (lane_->since)
    return true;  // its thread goes on with it
  if (state_->resting > 0) {
    state_->wake.notify_one();
    return true;
  }
  std::thread thread([state = state_] { state->work(); });
  ::pthread_setname_np(thread.native_handle(), "tonnage-worker");
  thread.detach();
  return true;
}

void Workers::Lane::drain() {
  std::unique_lock guard(state_->lock);
  state_->settled.wait(guard, [this] { return !lane_->since && lane_->waiting.empty(); });
}

bool Workers::finish(Duration wait_max) {
  std::unique_lock guard(state_->lock);
  return state_->settled.wait_for(guard, wait_max, [this] { return state_->is_idle(); });
}

std::vector<std::string> Workers::hanging() const {
  const std::lock_guard guard(state_->lock);
  std::vector<std::string> names;
  for (const auto& lane : state_->lanes) {
    if (lane->since && Clock::now() - *lane->since > lane->limits.deadline)
      names.push_back(lane->name);
  }
  return names;
}

}  // namespace tonnage
