// MemoryWatch: samples the host pool and every server once a second and tells the core.
#pragma once

#include <functional>
#include <map>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/tick.h"
#include "core/events.h"
#include "daemon/engine_room.h"
#include "probe/host_probe.h"
#include "probe/process_probe.h"

namespace vramd {

class MemoryWatch {
 public:
  MemoryWatch(boost::asio::io_context& io, EngineRoom& engines, std::function<void(Event)> post);

  // Samples at once, then every interval. A first sample that fails is an error of the caller's.
  Result<void> start();
  void stop();

  // One round now: after a server became ready, or before a decision is shown.
  Result<void> sample();
  // The same where a failure changes nothing: the last sample stays, and health shows its age.
  void refresh();

  const std::string& source() const { return source_; }

 private:
  void wait();

  boost::asio::steady_timer timer_;
  EngineRoom& engines_;
  std::function<void(Event)> post_;
  HostProbe host_;
  ProcessProbe processes_;
  std::string source_;
  std::map<Generation, Bytes> told_;  // what the core was last told of each server
};

}  // namespace vramd
