#include "sim/books.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sim/budget.h"

namespace tonnage::sim {

Books::Books(const Policy& policy)
    : policy_(policy), models_(policy.models.size()), pools_(policy.pools.size()) {
  for (std::size_t i = 0; i < models_.size(); ++i)
    models_[i].pinned = policy.models[i].pinned;
}

void Books::apply(Tick now, const Event& event) {
  std::visit([&](const auto& e) { on(now, e); }, event);
}

void Books::apply(Tick now, const Action& action) {
  std::visit([&](const auto& a) { on(now, a); }, action);
}

const Books::Server* Books::server(Generation generation) const {
  const auto found = servers_.find(generation);
  return found == servers_.end() ? nullptr : &found->second;
}

Books::Request* Books::find(RequestId id) {
  if (id.value >= requests_.size())
    return nullptr;
  Request& request = requests_[id.value];
  return request.state == RequestState::unknown ? nullptr : &request;
}

const Books::Request* Books::request(RequestId id) const {
  return const_cast<Books*>(this)->find(id);  // find changes nothing
}

std::vector<RequestId> Books::open_requests() const {
  std::vector<RequestId> open;
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    const RequestState state = requests_[i].state;
    if (state == RequestState::waiting || state == RequestState::admitted) {
      open.push_back(RequestId(i));
    }
  }
  return open;
}

void Books::start_waiting(RequestId id, Request& request) {
  request.state = RequestState::waiting;
  ++waiting_;
  if (request.admits > 0)
    ++waiting_replays_;
  if (!request.model) {
    ++waiting_residents_;
    return;
  }
  Model& model = models_[request.model->value];
  ++model.waiting;
  model.queue.insert(std::lower_bound(model.queue.begin(), model.queue.end(), id), id);
  if (request.admits > 0)
    ++model.replays;
}

void Books::stop_waiting(RequestId id, Request& request) {
  --waiting_;
  if (request.admits > 0)
    --waiting_replays_;
  if (!request.model) {
    --waiting_residents_;
    return;
  }
  Model& model = models_[request.model->value];
  --model.waiting;
  std::erase(model.queue, id);
  if (request.admits > 0)
    --model.replays;
}

void Books::on(Tick now, const RequestArrived& event) {
  constexpr std::uint64_t kRequestsMax = 1'000'000;
  TONNAGE_CHECK(event.request.value < kRequestsMax, "request ids of a run are small");
  if (event.request.value >= requests_.size())
    requests_.resize(event.request.value + 1);
  Request& request = requests_[event.request.value];
  request.model = event.model;
  request.priority = event.priority;
  request.arrived = now;
  request.waiting_since = now;
  request.context_needed = event.context_needed;
  request.context_wished = event.context_wished;
  request.counted = event.counted;
  request.slots = std::max(1, event.slots);
  start_waiting(event.request, request);
}

void Books::on(Tick now, const RequestEnded& event) {
  Request* request = find(event.request);
  if (request == nullptr || request->state != RequestState::admitted ||
      request->generation != event.generation) {
    return;
  }
  --leases_;
  const auto server = servers_.find(event.generation);
  if (server != servers_.end()) {
    --server->second.leases;
    server->second.last_used = now;
    server->second.counted -= request->slots_held;
    if (event.outcome == RequestOutcome::answered) {
      models_[server->second.model.value].crashes_in_a_row = 0;
      models_[server->second.model.value].kills_in_a_row = 0;
    }
  }
  if (event.outcome == RequestOutcome::lost) {
    ++request->losses;
    ++(forgiven_.contains(event.generation) ? request->forgiven : request->losses_there);
    request->replays_max = policy_.queue.replays_max;
    if (!request->client_gone) {
      request->waiting_since = now;
      start_waiting(event.request, *request);
      return;
    }
  }
  request->state = RequestState::over;
}

void Books::on(Tick, const ClientGone& event) {
  Request* request = find(event.request);
  if (request == nullptr)
    return;
  if (request->state == RequestState::waiting) {
    stop_waiting(event.request, *request);
    request->state = RequestState::over;
  }
  request->client_gone = true;
}

void Books::on(Tick, const ModelProfiled& event) {
  Model& model = models_[event.model.value];
  if (model.profiling)
    --profiles_running_;
  model.profiling = false;
  model.between_dry_runs = false;
  if (model.rows_stale) {
    model.rows_stale = model.server.has_value();
    return;
  }
  model.rows = event.rows;
  model.rows_wait = model.server.has_value();
}

Bytes Books::profile_hold(PoolId pool) const {
  Bytes sum;
  for (const Model& model : models_) {
    if (model.profiling)
      sum += pool == kHostPool ? model.profile_hold : model.profile_device_hold;
  }
  return sum;
}

void Books::on(Tick, const DryRunEnded& event) {
  Model& model = models_[event.model.value];
  if (!std::exchange(model.profiling, false))
    return;
  --profiles_running_;
  model.between_dry_runs = !shutdown_at_ && !policy_.models[event.model.value].removed;
}

void Books::on(Tick, const ProfileFailed& event) {
  Model& model = models_[event.model.value];
  if (model.profiling)
    --profiles_running_;
  model.profiling = false;
  model.rows_stale = model.rows_stale && model.server;
  ++model.failures;
}

void Books::on(Tick now, const PoolSampled& event) {
  Pool& pool = pools_[event.pool.value];
  pool.lost = false;
  pool.sampled_at = now;
  // A probe that says less than nothing is taken to say nothing.
  pool.capacity = std::max(event.capacity, Bytes(0));
  pool.foreign = std::max(event.foreign, Bytes(0));
  pool.expected = std::max(event.expected, Bytes(0));
}

void Books::on(Tick, const PoolLost& event) {
  pools_[event.pool.value].lost = true;
}

void Books::on(Tick, const LevelChanged& action) {
  const auto& levels = policy_.pressure.levels;
  const auto before = std::ranges::find(levels, action.before, &PressureLevel::name);
  const auto after = std::ranges::find(levels, action.level, &PressureLevel::name);
  if (before != levels.end() && after < before)
    return;  // peaks are forgotten on the way up
  for (const PressureLevel& level : policy_.pressure.levels) {
    const bool forgets = std::ranges::any_of(level.steps, [](const PressureStep& step) {
      return step.kind == PressureStepKind::reset_peaks;
    });
    if (level.name != action.level || !forgets)
      continue;
    for (auto& [generation, server] : servers_) {
      server.sampled = server.latest;
      // What is left is the prediction with the margin of today, or what was learned meanwhile.
      const Model& model = models_[server.model.value];
      server.own_most =
          std::max({server.own_most, with_margin(server.own, server.source, policy_.margin),
                    model.sampled_most});
      server.device_sampled = server.device_latest;
      const std::size_t devices =
          std::min(server.device_most.size(), model.device_sampled_most.size());
      for (std::size_t i = 0; i < devices; ++i)
        server.device_most[i] = std::max(server.device_most[i], model.device_sampled_most[i]);
    }
  }
}

void Books::open_command(Tick now, CommandId id, CommandKind kind, std::optional<ModelId> model) {
  commands_.insert_or_assign(id, Command{kind, model, now, false});
  ++commands_pending_;
}

void Books::on(Tick now, const LoadModel& event) {
  open_command(now, event.command, CommandKind::load, event.model);
  ++models_[event.model.value].loads_pending;
}

void Books::on(Tick now, const UnloadModel& event) {
  open_command(now, event.command, CommandKind::unload, event.model);
  ++models_[event.model.value].unloads_pending;
}

void Books::on(Tick now, const PinModel& event) {
  open_command(now, event.command, CommandKind::pin, event.model);
  models_[event.model.value].pinned = event.pinned;
}

void Books::on(Tick now, const ClearModel& event) {
  open_command(now, event.command, CommandKind::clear, event.model);
  models_[event.model.value].crashes_in_a_row = 0;
  models_[event.model.value].kills_in_a_row = 0;
  models_[event.model.value].rests_until.reset();
}

void Books::on(Tick now, const Flush& event) {
  open_command(now, event.command, CommandKind::flush, std::nullopt);
}

// A changed model is looked at anew and its failures are forgiven; an operator's pin stands until
// the configuration says something new.
void Books::on(Tick, const PolicyChanged& event) {
  for (std::size_t i = 0; i < models_.size(); ++i) {
    const ModelPolicy& after = event.policy.models[i];
    if (after.pinned != policy_.models[i].pinned)
      models_[i].pinned = after.pinned;
    if (!after.removed || policy_.models[i].removed)
      continue;
    models_[i].pinned = false;
    models_[i].replaced = models_[i].server.has_value();
  }
  policy_ = event.policy;
  for (std::size_t i = 0; i < models_.size(); ++i) {
    if (policy_.models[i].removed)
      models_[i].between_dry_runs = false;
  }
  for (const ModelId id : event.changed) {
    Model& model = models_[id.value];
    if (policy_.models[id.value].removed)
      continue;
    model.crashes_in_a_row = 0;
    model.kills_in_a_row = 0;
    model.rests_until.reset();
    model.replaced = model.server.has_value();
    model.rows_wait = false;
    model.rows_stale = model.server || model.profiling || model.between_dry_runs;
    if (!model.server)
      model.rows.clear();
  }
}

void Books::on(Tick now, const Shutdown&) {
  for (Model& model : models_)
    model.between_dry_runs = false;
  if (!shutdown_at_)
    shutdown_at_ = now;
}

void Books::on(Tick now, const Profile& action) {
  Model& model = models_[action.model.value];
  if (!model.profiling)
    ++profiles_running_;
  model.profiling = true;
  model.between_dry_runs = false;
  model.profiling_since = now;
  model.profile_hold = policy_.load.profile_reservation;
  model.profile_device_hold = policy_.load.profile_device_reservation;
  dry_run_may_lack_ =
      std::any_of(models_.begin(), models_.end(), [](const Model& m) { return m.pinned; });
}

void Books::on(Tick now, const Admit& action) {
  Request* request = find(action.request);
  if (request == nullptr || request->state != RequestState::waiting)
    return;
  stop_waiting(action.request, *request);
  request->state = RequestState::admitted;
  if (request->generation != action.generation)
    request->losses_there = 0;
  request->generation = action.generation;
  ++request->admits;
  ++leases_;
  const auto server = servers_.find(action.generation);
  if (server == servers_.end())
    return;
  ++server->second.leases;
  server->second.last_used = now;
  const Model& model = models_[action.model.value];
  const std::int32_t slots = server->second.placement.slots;
  const std::int32_t best = model.rows.empty() ? slots : model.rows.front().placement.slots;
  const std::int32_t most = policy_.models[action.model.value].in_flight_max;
  request->slots_held =
      slots_for(*request, slots >= best ? most : std::max(1, most * slots / best));
  server->second.counted += request->slots_held;
}

void Books::on(Tick, const Refuse& action) {
  Request* request = find(action.request);
  if (request == nullptr || request->state != RequestState::waiting)
    return;
  stop_waiting(action.request, *request);
  request->state = RequestState::over;
}

void Books::on(Tick, const CommandDone& action) {
  const auto found = commands_.find(action.command);
  if (found == commands_.end() || found->second.answered)
    return;
  Command& command = found->second;
  command.answered = true;
  --commands_pending_;
  if (command.kind == CommandKind::unload)
    --models_[command.model->value].unloads_pending;
  if (command.kind == CommandKind::load)
    --models_[command.model->value].loads_pending;
}

void Books::on(Tick, const Decided& action) {
  if (action.decision.kind == DecisionKind::stall && action.decision.model) {
    const auto generation = models_[action.decision.model->value].server;
    if (generation && servers_.contains(*generation))
      servers_.at(*generation).stalled = true;
  }
  if (action.decision.kind == DecisionKind::yield && action.decision.model) {
    models_[action.decision.model->value].yielded = true;
  }
  if (action.decision.reason == ReasonCode::more_context &&
      action.decision.kind == DecisionKind::upgrade && action.decision.model) {
    for (const RequestId id : models_[action.decision.model->value].queue)
      find(id)->wish_tried = true;
  }
  // What ran out of memory is tried again at once.
  if (action.decision.kind == DecisionKind::recover && action.decision.failure &&
      action.decision.model) {
    Model& model = models_[action.decision.model->value];
    if (std::exchange(model.crash_counted, false)) {
      --model.crashes_in_a_row;
      model.rests_until.reset();
    }
    model.recovered = true;
    if (const auto generation = action.decision.generation)
      forgive(*generation);
  }
}

void Books::on(Tick, const Drained&) {
  drained_ = true;
}

}  // namespace tonnage::sim
