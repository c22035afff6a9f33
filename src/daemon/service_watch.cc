#include "daemon/service_watch.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

namespace tonnage {
namespace {

// How often the status line is looked at where nobody wants pings.
constexpr Duration kStatusInterval = 10s;
// What the end takes beside draining: servers that are killed, connections that close.
constexpr Duration kEndSlack = 15s;
constexpr std::size_t kNamesMax = 8;

std::string ready_text(const Snapshot& snapshot) {
  std::string names;
  std::size_t count = 0;
  for (const ModelSnapshot& model : snapshot.models) {
    if (model.state != ResidencyState::ready && model.state != ResidencyState::draining)
      continue;
    if (++count <= kNamesMax)
      names += (names.empty() ? "" : ", ") + model.id;
  }
  if (count > kNamesMax)
    names += " and " + std::to_string(count - kNamesMax) + " more";
  return names.empty() ? "none" : names;
}

}  // namespace

bool scheduler_moves(Tick now, std::optional<Tick> deadline) {
  return !deadline || now - *deadline <= kDeadlineMissedAfter;
}

std::string service_status(const Snapshot& snapshot, std::string_view listen) {
  std::string out = "serving " + std::to_string(snapshot.models.size()) +
                    (snapshot.models.size() == 1 ? " model at " : " models at ") +
                    std::string(listen) + "; ready: " + ready_text(snapshot);
  for (const PoolSnapshot& pool : snapshot.pools) {
    out += "; " + pool.name + ": " + to_text(pool.reserved) + " of " + to_text(pool.budget) +
           " reserved";
  }
  if (!snapshot.problems.empty())
    out += "; " + snapshot.problems.front().text;
  return out;
}

ServiceWatch::ServiceWatch(boost::asio::io_context& io, const ServiceOrder& order, Sources sources)
    : timer_(io), notify_(order.socket), watchdog_(order.watchdog), sources_(std::move(sources)) {
  if (!order.socket.empty() && !notify_.is_open()) {
    spdlog::warn(
        "NOTIFY_SOCKET {} is no unix socket that can be used: the service manager will not "
        "learn that the daemon is ready",
        order.socket);
  }
}

void ServiceWatch::serving() {
  if (!notify_.is_open())
    return;
  status_ = sources_.status();
  unsent_ = ready_message(status_);
  beat();
  if (!std::exchange(beating_, true))
    wait();
}

void ServiceWatch::reloading() {
  if (!notify_.is_open())
    return;
  unsent_ = reloading_message("reading the configuration again", monotonic_time());
  beat();
}

void ServiceWatch::stopping(Duration longest) {
  if (!notify_.is_open())
    return;
  told_to_stop_ = true;
  unsent_ = stopping_message("draining: running requests may end", longest + kEndSlack);
  beat();
}

void ServiceWatch::end() {
  beating_ = false;
  timer_.cancel();
}

void ServiceWatch::beat() {
  if (!unsent_.empty() && notify_.send(unsent_))
    unsent_.clear();
  if (watchdog_) {
    const bool moves = sources_.moves();
    if (!moves && !stalled_) {
      spdlog::error(
          "the scheduler missed its own deadline: the watchdog is not told that all is "
          "well, and will have the daemon started anew");
    }
    stalled_ = !moves;
    if (moves)
      notify_.send(kWatchdogMessage);
  }
  if (told_to_stop_ || !unsent_.empty())
    return;
  std::string status = sources_.status();
  if (status != status_ && notify_.send(status_message(status)))
    status_ = std::move(status);
}

void ServiceWatch::wait() {
  timer_.expires_after(watchdog_ ? std::min(kStatusInterval, *watchdog_ / 2) : kStatusInterval);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error || !beating_)
      return;
    // Behind whatever else is due: after a pause of the whole process the core's own timer may
    // stand behind this one, and would look missed.
    boost::asio::post(timer_.get_executor(), [this] {
      if (!beating_)
        return;
      beat();
      wait();
    });
  });
}

}  // namespace tonnage
