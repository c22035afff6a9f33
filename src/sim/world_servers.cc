// The part of the world that is about model servers and memory.
#include <algorithm>
#include <utility>

#include "sim/world.h"

namespace tonnage::sim {

void World::do_profile(const Profile& action) {
  const ModelTruth& truth = knobs_.models[action.model.value];
  agenda_.add(now_ + vary(truth.profile_time), {Kind::profiled, action.model.value});
  if (devices_.empty() || policy_.models[action.model.value].host_only)
    return;
  if (!action.next)
    dry_runs_to_come_[action.model] = (knobs_.seed + action.model.value) % 3;
  // A driver's context is not always as large as it is thought to be.
  const Bytes context = permille_of(policy_.load.profile_device_reservation, 800);
  std::vector<Bytes>& holds = dry_run_holds_[action.model];
  holds.assign(devices_.size(), context);
  // On a device that fell off the bus there is nothing to hold.
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if (devices_[i].lost_until > now_)
      holds[i] = Bytes(0);
  }
}

Event World::end_dry_run(ModelId model) {
  const ModelTruth& truth = knobs_.models[model.value];
  Process dry_run;
  dry_run.state = ProcessState::ready;
  dry_run.device_bytes = std::exchange(dry_run_holds_[model], {});
  return_devices(dry_run_of(model), dry_run);
  if (dry_runs_to_come_[model] > 0) {
    --dry_runs_to_come_[model];
    return DryRunEnded{model};
  }
  if (faulty(Fault::failed_profile)) {
    return ProfileFailed{model, {FailureKind::exited, "the dry run ended with status 1"}};
  }
  return ModelProfiled{model, truth.rows};
}

void World::do_start(const StartServer& action) {
  const ModelTruth& truth = knobs_.models[action.model.value];
  const auto row = std::find_if(truth.rows.begin(), truth.rows.end(), [&](const PlacementRow& r) {
    return r.placement == action.placement && r.device_bytes.size() == action.devices.size();
  });
  const PlacementRow& used = row == truth.rows.end() ? truth.rows.front() : *row;

  Process process;
  process.model = action.model;
  process.placement = action.placement;
  process.started = now_;
  process.load = vary(truth.load_time);
  process.anon = permille_of(used.host_anon, truth.anon_permille);
  if (truth.anon_permille != 1000)
    ++fault_hits_[static_cast<std::size_t>(Fault::wrong_footprint)];
  process.weights = used.weights;
  place(process, action, used);
  Process& placed = processes_.insert_or_assign(action.generation, process).first->second;

  std::optional<Failure> failure;
  if (truth.broken) {
    failure = Failure{FailureKind::bad_model, "unknown architecture"};
  } else if (faulty(Fault::refused_start)) {
    failure = Failure{FailureKind::spawn_failed, "no such file"};
  } else if (faulty(Fault::failed_load)) {
    constexpr FailureKind kinds[] = {FailureKind::exited, FailureKind::out_of_memory,
                                     FailureKind::crashed, FailureKind::bad_setup};
    failure = Failure{kinds[faults_.below(4)], "ended while it loaded"};
    if (!action.devices.empty() && faults_.chance(700))
      failure = Failure{FailureKind::out_of_device_memory, "cudaMalloc failed: out of memory"};
  } else if (faulty(Fault::stale_profile)) {
    failure = Failure{FailureKind::stale_profile, "the file changed"};
  }
  if (failure) {
    placed.failure = std::move(failure);
    plan_exit(action.generation, placed, now_ + Duration(latency_.between(1, placed.load.count())));
    return;
  }
  plan_kill(action.generation, placed.load + truth.serve_time);
  if (faulty(Fault::endless_load))
    return;
  if (faulty(Fault::slow_load))
    placed.load *= faults_.between(3, 40);
  agenda_.add(now_ + placed.load, {Kind::ready, action.generation.value});
}

std::optional<Event> World::become_ready(Generation generation) {
  Process* process = find(generation);
  if (process == nullptr || process->state != ProcessState::starting)
    return std::nullopt;
  if (process->exit_planned)
    return std::nullopt;
  if (is_full(Fault::oom_at_load)) {
    process->failure = Failure{FailureKind::out_of_memory, "killed by the kernel"};
    plan_exit(generation, *process, now_);
    return std::nullopt;
  }
  if (device_is_full(*process, Fault::oom_at_load)) {
    process->failure =
        Failure{FailureKind::out_of_device_memory, "cudaMalloc failed: out of memory"};
    plan_exit(generation, *process, now_);
    return std::nullopt;
  }
  process->state = ProcessState::ready;
  plan_mishaps(generation);
  agenda_.add(now_ + Duration(latency_.between(1, 200'000)),
              {Kind::sample_server, generation.value});
  return ServerReady{generation};
}

void World::plan_mishaps(Generation generation) {
  // Some die at once, before they answered anything.
  const Duration span =
      knobs_.models[find(generation)->model.value].serve_time * (faults_.chance(300) ? 1 : 20);
  if (faulty(Fault::crash)) {
    agenda_.add(now_ + Duration(faults_.between(0, span.count())), {Kind::crash, generation.value});
  }
  if (faulty(Fault::hang)) {
    agenda_.add(now_ + Duration(faults_.between(0, span.count())), {Kind::hang, generation.value});
  }
}

// Whatever a server does, somebody may kill it: while it loads, works or idles.
void World::plan_kill(Generation generation, Duration within) {
  if (faulty(Fault::kill)) {
    agenda_.add(now_ + Duration(faults_.between(0, 2 * within.count() + 1)),
                {Kind::kill, generation.value});
  }
}

void World::plan_exit(Generation generation, Process& process, Tick at) {
  process.exit_planned = true;
  agenda_.add(at, {Kind::exit, generation.value});
}

void World::crash(Generation generation, Failure failure) {
  Process* process = find(generation);
  process->state = ProcessState::exiting;
  process->failure = std::move(failure);
  const Tick exit_at = now_ + Duration(faults_.between(0, 5'000));
  break_requests(*process, exit_at);
  plan_exit(generation, *process, exit_at);
}

// Connections break before the exit is seen, or after it: an adapter can deliver either first.
void World::break_requests(Process& process, Tick exit_at) {
  for (const RequestId id : process.in_flight) {
    Request& request = requests_[id.value - 1];
    ++request.attempt;
    const bool before = latency_.chance(500);
    const Tick at = before ? now_ + Duration(latency_.between(0, (exit_at - now_).count()))
                           : exit_at + Duration(latency_.between(0, 20'000));
    const RequestOutcome outcome = request.left && latency_.chance(500)
                                       ? RequestOutcome::client_gone
                                   : latency_.chance(300) ? RequestOutcome::broken
                                                          : RequestOutcome::lost;
    agenda_.add(at, {Kind::end, id.value, request.attempt, outcome});
  }
  process.in_flight.clear();
}

// The requests of one batch fail together. Each answer says so, and then its request is lost.
std::optional<Event> World::run_short(Generation generation, Process& process) {
  const bool on_device = !process.device_bytes.empty() && faults_.chance(800);
  ServerOutOfMemory event{
      generation,
      {on_device ? FailureKind::out_of_device_memory : FailureKind::out_of_memory, "HTTP 500"}};
  std::vector<RequestId> batch;
  for (const RequestId id : process.in_flight) {
    if (batch.empty() || faults_.chance(500))
      batch.push_back(id);
  }
  if (batch.empty())
    return std::nullopt;
  for (const RequestId id : batch) {
    std::erase(process.in_flight, id);
    Request& request = requests_[id.value - 1];
    ++request.attempt;
    if (id != batch.front()) {
      agenda_.add(now_, {Kind::echo, echoes_.size()});
      echoes_.push_back(event);
    }
    agenda_.add(now_, {Kind::end, id.value, request.attempt,
                       request.left ? RequestOutcome::client_gone : RequestOutcome::lost});
  }
  return event;
}

std::optional<Event> World::exit(Generation generation) {
  Process* process = find(generation);
  if (process == nullptr)
    return std::nullopt;
  ServerExited event{generation, std::move(process->failure)};
  if (faulty(Fault::release_lag))
    return_late(*process);
  return_devices(generation, *process);
  processes_.erase(generation);
  if (faulty(Fault::echo)) {
    switch (faults_.below(5)) {
      case 0:
        echo_later(ServerReady{generation});
        break;
      case 1:
        echo_later(event);
        break;
      case 2:
        echo_later(ServerSampled{generation, 64_MiB});
        break;
      case 3:
        echo_later(ServerOutOfMemory{generation, {FailureKind::out_of_memory, "late"}});
        break;
      default:
        echo_later(ServerUnresponsive{generation, {FailureKind::unresponsive, "late"}});
    }
  }
  return event;
}

void World::do_stop(const StopServer& action) {
  Process* process = find(action.generation);
  if (process == nullptr || process->state == ProcessState::exiting || process->exit_planned) {
    return;
  }
  const Duration leaving = vary(knobs_.models[process->model.value].stop_time);
  Tick exit_at = now_ + leaving;
  const bool reluctant = process->state == ProcessState::hung || !process->in_flight.empty();
  if (reluctant && !action.kill_at_once)
    exit_at += policy_.load.stop_timeout;
  // Giving many pages back takes the kernel a while; the exit is seen only then.
  if (faulty(Fault::release_lag, 2))
    exit_at += Duration(faults_.between(1'000, 5'000'000));
  if (process->state == ProcessState::starting && faulty(Fault::ready_race)) {
    agenda_.add(now_ + Duration(latency_.between(0, leaving.count())),
                {Kind::echo, echoes_.size()});
    echoes_.push_back(ServerReady{action.generation});
  }
  process->state = ProcessState::exiting;
  break_requests(*process, exit_at);
  plan_exit(action.generation, *process, exit_at);
}

void World::do_admit(const Admit& action) {
  Request& request = requests_[action.request.value - 1];
  request.state = RequestState::in_flight;
  request.generation = action.generation;
  ++request.attempt;
  Process* process = find(action.generation);
  if (process == nullptr || process->state == ProcessState::exiting ||
      process->state == ProcessState::starting) {
    // Nobody listens any more: the connection is refused.
    agenda_.add(now_ + Duration(latency_.between(1, 2'000)),
                {Kind::end, action.request.value, request.attempt, RequestOutcome::lost});
    return;
  }
  process->in_flight.push_back(action.request);
  const Duration serve = vary(knobs_.models[process->model.value].serve_time);
  RequestOutcome outcome = RequestOutcome::answered;
  // Now and then a connection breaks although the server lives.
  if (faulty(Fault::crash, 32))
    outcome = RequestOutcome::lost;
  agenda_.add(now_ + serve, {Kind::end, action.request.value, request.attempt, outcome});
  if ((request.poison && !calm()) || faulty(Fault::crash, 8)) {
    agenda_.add(now_ + Duration(faults_.between(0, serve.count())),
                {Kind::crash, action.generation.value});
  } else if (faulty(Fault::hang, 6)) {
    agenda_.add(now_ + Duration(faults_.between(0, serve.count())),
                {Kind::hang, action.generation.value});
  } else if (faulty(Fault::memory_answer, 4)) {
    agenda_.add(now_ + Duration(faults_.between(0, serve.count())),
                {Kind::run_short, action.generation.value});
  }
}

Bytes World::held_now(const Process& process) const {
  if (process.state != ProcessState::starting)
    return process.anon;
  const std::int64_t load = std::max<std::int64_t>(1, process.load.count());
  const std::int64_t so_far = std::min(load, (now_ - process.started).count());
  return permille_of(process.anon, so_far * 1000 / load);
}

Bytes World::physical_now() const {
  Bytes sum = foreign_ + returning_now();
  std::map<FileId, Bytes> files;
  for (const auto& [generation, process] : processes_) {
    sum += held_now(process);
    for (const WeightFile& weights : process.weights)
      files[weights.file] = std::max(files[weights.file], weights.size);
  }
  for (const auto& [file, size] : files)
    sum += size;
  return sum;
}

// Bytes of ended servers that the machine has not got back yet. Whoever measures now takes them for
// somebody else's.
Bytes World::returning_now() const {
  Bytes sum;
  for (const auto& [until, bytes] : returning_) {
    if (until > now_)
      sum += bytes;
  }
  return sum;
}

void World::return_late(const Process& process) {
  std::erase_if(returning_, [this](const auto& entry) { return entry.first <= now_; });
  returning_.emplace_back(now_ + Duration(faults_.between(1'000, 8'000'000)), process.anon);
}

// Where the kernel ends servers at all, it does so whenever the pool is full.
bool World::is_full(Fault fault) {
  if (calm() || knobs_.rate(fault) == 0 || physical_now() <= knobs_.capacity)
    return false;
  ++fault_hits_[static_cast<std::size_t>(fault)];
  return true;
}

Bytes World::held_at_most() const {
  Bytes sum;
  std::map<FileId, Bytes> files;
  for (const auto& [generation, process] : processes_) {
    sum += process.anon;
    for (const WeightFile& weights : process.weights)
      files[weights.file] = std::max(files[weights.file], weights.size);
  }
  for (const auto& [file, size] : files)
    sum += size;
  return sum;
}

std::optional<Event> World::sample_pool() {
  // In calm times nothing moves, and a long wait for a time-out should not be filled with samples.
  agenda_.add(now_ + (calm() ? 10 : 1) * knobs_.sample_every, {Kind::sample_pool});
  if (last_pool_sample_ && faulty(Fault::missing_sample))
    return std::nullopt;
  if (last_pool_sample_ && faulty(Fault::stale_sample))
    return *last_pool_sample_;
  if (last_pool_sample_ && faulty(Fault::wrong_sample))
    return wrong_sample();
  last_pool_sample_ = PoolSampled{kHostPool, knobs_.capacity, foreign_ + returning_now()};
  last_pool_sample_->used = last_pool_sample_->foreign;
  for (const auto& [generation, process] : processes_)
    last_pool_sample_->used += held_now(process);
  return *last_pool_sample_;
}

// What a probe says that read a file half written, or a machine that was asked at a bad moment.
PoolSampled World::wrong_sample() {
  PoolSampled sample = *last_pool_sample_;
  switch (faults_.below(6)) {
    case 0:
      sample.capacity = Bytes(0);
      break;
    case 1:
      sample.capacity = permille_of(sample.capacity, 500);
      break;
    case 2:
      sample.capacity = sample.capacity + sample.capacity;
      break;
    case 3:
      sample.foreign = Bytes(0) - 1_GiB;
      break;
    case 4:
      sample.foreign = sample.capacity;
      break;
    default:
      sample.foreign = permille_of(sample.capacity, faults_.between(0, 1000));
  }
  return sample;
}

std::optional<Event> World::sample_server(Generation generation) {
  Process* process = find(generation);
  if (process == nullptr || process->state == ProcessState::exiting)
    return std::nullopt;
  agenda_.add(now_ + (calm() ? 40 : 4) * knobs_.sample_every,
              {Kind::sample_server, generation.value});
  if (process->state == ProcessState::ready && is_full(Fault::oom_in_use)) {
    crash(generation, {FailureKind::out_of_memory, "killed by the kernel"});
    return std::nullopt;
  }
  if (process->state == ProcessState::ready && device_is_full(*process, Fault::oom_in_use)) {
    crash(generation, {FailureKind::out_of_device_memory, "CUDA error: out of memory"});
    return std::nullopt;
  }
  if (faulty(Fault::missing_sample))
    return std::nullopt;
  if (faulty(Fault::wrong_sample)) {
    constexpr std::int64_t factors[] = {-1000, 0, 500, 2'000, 20'000};
    return ServerSampled{
        generation, permille_of(held_now(*process), factors[faults_.below(5)]), {}};
  }
  ServerSampled sample{generation, held_now(*process), {}};
  for (std::size_t i = 0; i < devices_.size() && knobs_.seed % 3 != 0; ++i)
    sample.device_bytes.push_back(device_held(*process, i));
  return sample;
}

void World::move_foreign() {
  if (calm())
    return;
  agenda_.add(now_ + Duration(faults_.between(50'000, 10'000'000)), {Kind::move_foreign});
  if (!faulty(Fault::foreign))
    return;
  move_device_foreign();
  foreign_ =
      faults_.chance(300) ? knobs_.foreign : permille_of(knobs_.capacity, faults_.between(0, 700));
}

}  // namespace tonnage::sim
