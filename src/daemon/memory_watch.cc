#include "daemon/memory_watch.h"

#include <map>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

namespace vramd {
namespace {

// Foreign use moves within seconds; a round costs about 50 us + 13 us for each server.
constexpr Duration kInterval = 1s;

}  // namespace

MemoryWatch::MemoryWatch(boost::asio::io_context& io, EngineRoom& engines,
                         std::function<void(Event)> post)
    : timer_(io), engines_(engines), post_(std::move(post)) {}

Result<void> MemoryWatch::start() {
  auto first = sample();
  if (first)
    wait();
  return first;
}

void MemoryWatch::stop() {
  timer_.cancel();
}

void MemoryWatch::wait() {
  timer_.expires_after(kInterval);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error)
      return;
    refresh();
    wait();
  });
}

void MemoryWatch::refresh() {
  if (const auto sampled = sample(); !sampled)
    spdlog::debug("{}", sampled.error().text());
}

Result<void> MemoryWatch::sample() {
  Bytes ours;
  std::vector<ServerSampled> samples;
  for (const RunningServer& server : engines_.servers()) {
    const auto memory = processes_.tree(server.pid);
    if (!memory)
      continue;  // it ended meanwhile; its exit is on the way
    ours += memory->unreclaimable();
    samples.push_back({server.generation, memory->held()});
  }
  for (const RunningProcess& run : engines_.dry_runs()) {
    if (const auto memory = processes_.tree(run.pid))
      ours += memory->unreclaimable();
  }
  const auto host = host_.sample(ours);
  if (!host)
    return std::unexpected(host.error());
  source_ = host->source;
  // The time of a server's sample means nothing to the core: what it knows already is not news.
  std::map<Generation, Bytes> told;
  for (const ServerSampled& event : samples) {
    const auto before = told_.find(event.generation);
    if (before == told_.end() || before->second != event.host_anon)
      post_(event);
    told[event.generation] = event.host_anon;
  }
  told_ = std::move(told);
  post_(PoolSampled{kHostPool, host->capacity, host->foreign});
  return {};
}

}  // namespace vramd
