// StatusReports: the state of memory in the log, regularly and when a pressure level changed.
#pragma once

#include <functional>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/tick.h"
#include "core/snapshot.h"

namespace tonnage {

class StatusReports {
 public:
  StatusReports(boost::asio::io_context& io, std::function<Snapshot()> snapshot);

  // Empty: only now() reports. To be called again when the interval changed.
  void every(std::optional<Duration> interval);
  // After the event at hand, so that the snapshot shows what came of it; once for several calls.
  void now();
  void stop();

 private:
  void wait();
  void report();

  boost::asio::io_context& io_;
  boost::asio::steady_timer timer_;
  std::function<Snapshot()> snapshot_;
  std::optional<Duration> interval_;
  bool asked_ = false;
  bool stopped_ = false;
};

}  // namespace tonnage
