// ServiceWatch: keeps the service manager told that the daemon serves and that its scheduler moves.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/tick.h"
#include "config/config.h"
#include "core/snapshot.h"
#include "daemon/service_notify.h"

namespace tonnage {

// A deadline of the core that passed this long ago was missed: a loop that is merely busy is late
// by milliseconds.
inline constexpr Duration kDeadlineMissedAfter = 2s;

// Whether the scheduler moves, by when the core wanted to be woken; empty: it waits for events
// only.
bool scheduler_moves(Tick now, std::optional<Tick> deadline);

// "serving 3 models at 127.0.0.1:8726; ready: chat, embed; 309 MiB of 340 MiB reserved"
std::string service_status(const Snapshot& snapshot, std::string_view listen);

// Loop thread only. Without a service manager every call does nothing.
class ServiceWatch {
 public:
  struct Sources {
    std::function<bool()> moves;          // asked before each ping
    std::function<std::string()> status;  // the line to show
  };

  ServiceWatch(boost::asio::io_context& io, const ServiceOrder& order, Sources sources);

  // To be called on the running loop: the daemon listens and answers. Also ends a reload.
  void serving();
  void reloading();
  // The daemon drains, which takes `longest` at most. The pings go on.
  void stopping(Duration longest);
  // The last word was said; the loop may run out of work.
  void end();

 private:
  void beat();
  void wait();

  boost::asio::steady_timer timer_;
  ServiceNotify notify_;
  std::optional<Duration> watchdog_;
  Sources sources_;
  std::string unsent_;  // a change of state that was not taken; said again at the next beat
  std::string status_;  // as last sent
  bool beating_ = false;
  bool stalled_ = false;
  bool told_to_stop_ = false;
};

}  // namespace tonnage
