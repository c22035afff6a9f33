#include "daemon/status_reports.h"

#include <utility>

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include "api/status_report.h"

namespace tonnage {

StatusReports::StatusReports(boost::asio::io_context& io, std::function<Snapshot()> snapshot)
    : io_(io), timer_(io), snapshot_(std::move(snapshot)) {}

void StatusReports::every(std::optional<Duration> interval) {
  if (stopped_ || interval == interval_)
    return;
  interval_ = interval;
  timer_.cancel();
  if (interval_)
    wait();
}

void StatusReports::wait() {
  timer_.expires_after(*interval_);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error)
      return;
    report();
    wait();
  });
}

void StatusReports::now() {
  if (std::exchange(asked_, true) || stopped_)
    return;
  boost::asio::post(io_, [this] {
    asked_ = false;
    if (!stopped_)
      report();
  });
}

void StatusReports::report() {
  spdlog::info("{}", api::status_report(snapshot_()));
}

void StatusReports::stop() {
  stopped_ = true;
  timer_.cancel();
}

}  // namespace tonnage
