// Workers: the threads for what must not be done on the loop: files of the daemon itself, large
// bodies, the allocator.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/tick.h"

namespace tonnage {

// Work belongs to a lane, and the work of one lane is done one piece after the other, so that there
// are never more threads than lanes: a piece that hangs holds up its lane and nobody else. Model
// files are not touched here but by ModelLooks: a thread that hangs in the kernel would keep the
// whole daemon from ending.
class Workers {
 private:
  struct LaneState;
  struct State;

 public:
  struct LaneLimits {
    std::size_t queue_max = 64;  // pieces that wait; more are refused
    Duration deadline = 30s;     // of one piece; beyond it the lane is told to hang
  };

  class Lane {
   public:
    // False: too much waits already, and `work` is dropped.
    bool post(std::move_only_function<void()> work);
    // Waits until everything that was posted is done.
    void drain();

   private:
    friend class Workers;
    Lane(std::shared_ptr<State> state, std::shared_ptr<LaneState> lane)
        : state_(std::move(state)), lane_(std::move(lane)) {}
    std::shared_ptr<State> state_;
    std::shared_ptr<LaneState> lane_;
  };

  Workers();
  // Waits for nothing: see finish().
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  Lane lane(std::string name, LaneLimits limits);
  Lane lane(std::string name) { return lane(std::move(name), LaneLimits{}); }

  // Waits until nothing is left to do, but no longer than `wait_max`. False: some piece hangs, and
  // what it refers to must not be destroyed: the process has to end without destructors.
  bool finish(Duration wait_max);

  // Lanes whose piece takes longer than its deadline, in the order in which they were made.
  std::vector<std::string> hanging() const;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace tonnage
