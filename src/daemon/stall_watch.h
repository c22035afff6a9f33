// StallWatch: how long tasks stand still for want of memory, told to the core regularly and as soon
// as the kernel says that they do.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/tick.h"
#include "core/events.h"
#include "core/pressure_policy.h"
#include "probe/psi.h"

namespace tonnage {

// The least stall within a window of two seconds that some level names; empty where none does.
std::optional<Duration> trigger_stall(const PressurePolicy& policy, PsiTrigger::Kind kind);

// Where the kernel tells nothing of stalls, nothing is told. Averages are those of the last 10 s,
// so what a trigger brings forward is the look at memory itself.
class StallWatch {
 public:
  // `stalled`: the kernel reported a stall just now.
  StallWatch(boost::asio::io_context& io, std::string root, std::function<void(Event)> post,
             std::function<void()> stalled);
  ~StallWatch();

  // Sets triggers for the levels that name stalls. What the kernel refuses is left to sample().
  void arm(const PressurePolicy& policy);
  void sample();
  void stop();

 private:
  // A trigger reports for as long as its descriptor is open; the second one is the loop's.
  struct Armed {
    PsiTrigger trigger;
    boost::asio::posix::stream_descriptor wait;
  };

  void arm(const std::string& file, PsiTrigger::Kind kind, Duration stall);
  void wait(const std::shared_ptr<Armed>& armed);

  boost::asio::io_context& io_;
  PsiProbe probe_;
  std::function<void(Event)> post_;
  std::function<void()> stalled_;
  StallSampled told_;
  std::vector<std::shared_ptr<Armed>> armed_;
};

}  // namespace tonnage
