// What the books know of servers: their starts, ends, samples and failures.
#include <algorithm>
#include <utility>

#include "sim/books.h"
#include "sim/budget.h"

namespace tonnage::sim {

// What retries after out-of-memory failures may ask for beyond the margin.
Bytes Books::with_extra(const Model& model, Bytes bytes) const {
  if (!model.recovered)
    return bytes;
  const std::int64_t permille =
      policy_.recovery.retry_extra_permille * policy_.recovery.device_failures_max;
  return bytes + Bytes(bytes.count / 1000 * permille + permille);
}

void Books::on(Tick now, const ServerReady& event) {
  const auto found = servers_.find(event.generation);
  if (found == servers_.end() || found->second.ready_at || found->second.stop_at)
    return;
  found->second.ready_at = now;
  found->second.last_used = now;
}

// A second crash without an answer between is followed by a rest, which doubles each time.
void Books::crashed(Tick now, Model& model) {
  ++model.crashes_in_a_row;
  if (model.crashes_in_a_row < 2)
    return;
  Duration rest = policy_.load.retry_backoff_min;
  for (std::int32_t i = 1; i < model.crashes_in_a_row; ++i)
    rest = std::min(rest * 2, policy_.load.retry_backoff_max);
  model.rests_until = now + std::min(rest, policy_.load.retry_backoff_max);
}

void Books::on(Tick now, const ServerExited& event) {
  const auto found = servers_.find(event.generation);
  if (found == servers_.end())
    return;
  Model& model = models_[found->second.model.value];
  const Server& server = found->second;
  model.server.reset();
  model.rows_wait = false;
  model.replaced = false;
  model.yielded = false;
  if (std::exchange(model.rows_stale, false))
    model.rows.clear();
  const bool unasked = !server.stop_at || server.hung || server.out_of_memory;
  const bool killed = unasked && !server.hung && !server.out_of_memory && event.failure &&
                      event.failure->kind == FailureKind::killed;
  if (killed && server.ready_at)
    forgive(event.generation);
  model.killed = killed && model.kills_in_a_row < policy_.recovery.kills_max;
  model.kills_in_a_row += model.killed ? 1 : 0;
  model.crash_counted = server.ready_at && unasked && !model.killed;
  if (model.crash_counted)
    crashed(now, model);
  // A server that never was ready has failed, whatever its exit says, for example after a time-out.
  for (std::size_t i = 0; i < server.device_own.size(); ++i) {
    if (server.device_own[i] > Bytes(0))
      pools_[i + 1].ended_at = now;
  }
  if (event.failure || !server.ready_at) {
    ++model.failures;
    if (server.ready_at)
      ++model.crashes;
  }
  servers_.erase(found);
}

void Books::on(Tick, const ServerUnresponsive& event) {
  const auto found = servers_.find(event.generation);
  if (found != servers_.end())
    became_useless(found->second, found->second.hung);
}

void Books::on(Tick, const ServerOutOfMemory& event) {
  const auto found = servers_.find(event.generation);
  if (found != servers_.end())
    became_useless(found->second, found->second.out_of_memory);
}

void Books::became_useless(Server& server, bool& how) {
  server.useless = server.useless || server.ready_at;
  if (server.ready_at && !server.stop_at)
    how = true;
  Model& model = models_[server.model.value];
  ++model.failures;
  ++model.crashes;
}

void Books::on(Tick, const ServerSampled& event) {
  const auto found = servers_.find(event.generation);
  if (found == servers_.end())
    return;
  found->second.sampled = std::max(found->second.sampled, event.host_anon);
  Model& model = models_[found->second.model.value];
  model.sampled_most = std::max(model.sampled_most, event.host_anon);
  model.device_sampled_most.resize(policy_.pools.size() - 1);
  for (std::size_t i = 0; i < event.device_bytes.size() && i < policy_.pools.size() - 1; ++i) {
    model.device_sampled_most[i] = std::max(model.device_sampled_most[i], event.device_bytes[i]);
  }
  found->second.latest = event.host_anon;
  found->second.device_latest = event.device_bytes;
  auto& most = found->second.device_sampled;
  most.resize(std::max(most.size(), event.device_bytes.size()));
  for (std::size_t i = 0; i < event.device_bytes.size(); ++i)
    most[i] = std::max(most[i], event.device_bytes[i]);
}

void Books::on(Tick now, const StartServer& action) {
  Model& model = models_[action.model.value];
  Server server;
  server.model = action.model;
  server.placement = action.placement;
  server.devices = action.devices;
  server.started = now;
  for (const PlacementRow& row : model.rows) {
    if (row.placement != action.placement)
      continue;
    if (row.device_bytes.size() != action.devices.size())
      continue;
    server.known_placement = true;
    server.source = row.source;
    server.own = row.host_anon;
    server.own_most = with_extra(model, with_margin(row.host_anon, row.source, policy_.margin));
    for (std::size_t i = 0; i < action.devices.size(); ++i) {
      const Bytes bytes = row.device_bytes[i];
      const Bytes most = with_extra(model, with_margin(bytes, row.source, policy_.margin));
      if (action.devices[i] == kHostPool) {
        server.own += bytes;
        server.own_most += most;
        continue;
      }
      server.device_own.resize(policy_.pools.size() - 1);
      server.device_most.resize(policy_.pools.size() - 1);
      server.device_own[action.devices[i].value - 1] += bytes;
      server.device_most[action.devices[i].value - 1] += most;
    }
    server.weights = row.weights;
    // What was measured before may be reserved from the beginning.
    server.own_most = std::max(server.own_most, model.sampled_most);
    for (std::size_t i = 0; i < server.device_most.size() && i < model.device_sampled_most.size();
         ++i)
      server.device_most[i] = std::max(server.device_most[i], model.device_sampled_most[i]);
    break;
  }
  servers_.insert_or_assign(action.generation, server);
  model.server = action.generation;
  model.yielded = false;
  last_generation_ = std::max(last_generation_, action.generation);
}

void Books::on(Tick now, const StopServer& action) {
  const auto found = servers_.find(action.generation);
  if (found != servers_.end() && !found->second.stop_at)
    found->second.stop_at = now;
}

// Whose connection broke before the exit was seen waits already; the others' ends are still to
// come.
void Books::forgive(Generation generation) {
  if (!forgiven_.insert(generation).second)
    return;
  for (Request& request : requests_) {
    const bool open =
        request.state == RequestState::waiting || request.state == RequestState::admitted;
    if (!open || request.admits == 0 || request.generation != generation)
      continue;
    request.forgiven += std::exchange(request.losses_there, 0);
    ++request.forgiven_servers;
  }
}

Bytes Books::host_headroom() const {
  const PoolPolicy& pool = policy_.pools[kHostPool.value];
  Bytes left = std::min(budget_for(pool, capacity()), room_of(pool, capacity()) - foreign());
  std::vector<FileId> files;
  for (const auto& [generation, server] : servers()) {
    left -= std::max(server.own_most, server.sampled);
    for (const WeightFile& weights : server.weights) {
      const bool counted = std::find(files.begin(), files.end(), weights.file) != files.end();
      if (counted || weights.size == Bytes(0))
        continue;
      files.push_back(weights.file);
      left -= weights.size;
    }
  }
  return left;
}

}  // namespace tonnage::sim
