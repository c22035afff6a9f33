#include "sim/world.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tonnage::sim {
namespace {

// Separate streams, so that one fault more does not change who asks for what.
enum class Stream : std::uint64_t { workload = 11, faults = 23, latency = 37, operators = 51 };

Prng stream(std::uint64_t seed, Stream which) {
  return Prng(seed * 0xd1342543de82ef95ULL + static_cast<std::uint64_t>(which));
}

}  // namespace

World::World(const Knobs& knobs)
    : knobs_(knobs),
      policy_(knobs.policy),
      faults_(stream(knobs.seed, Stream::faults)),
      latency_(stream(knobs.seed, Stream::latency)),
      operator_(stream(knobs.seed, Stream::operators)),
      workload_(knobs, stream(knobs.seed, Stream::workload)),
      foreign_(knobs.foreign) {
  if (knobs.shutdown == ShutdownKind::in_the_middle) {
    shutdown_at_request_ = 1 + operator_.below(static_cast<std::uint64_t>(knobs.workload.requests));
  }
  agenda_.add(Tick(knobs.first_sample_after), {Kind::sample_pool});
  for (std::size_t i = 0; i < knobs.devices.size(); ++i) {
    devices_.push_back({knobs.devices[i].capacity, knobs.devices[i].foreign, {}, {}, {}});
    agenda_.add(Tick(knobs.first_sample_after), {Kind::sample_device, i, 1});
  }
  if (knobs.rate(Fault::lost_device) > 0 && !devices_.empty())
    agenda_.add(Tick(300ms), {Kind::lose_device});
  if (knobs.rate(Fault::stalls) > 0)
    agenda_.add(Tick(400ms), {Kind::tell_stalls});
  for (Arrival& arrival : workload_.first_of_clients()) {
    agenda_.add(arrival.at, {Kind::client_arrival, pending_clients_.size()});
    pending_clients_.push_back(arrival);
  }
  plan_open_arrival();
  if (knobs.rate(Fault::foreign) > 0)
    agenda_.add(Tick(1ms), {Kind::move_foreign});
  if (knobs.rate(Fault::relearned) > 0)
    agenda_.add(Tick(50ms), {Kind::relearn});
  if (knobs.rate(Fault::reload) > 0)
    agenda_.add(Tick(100ms), {Kind::reload});
  if (knobs.rate(Fault::clock_stall) > 0)
    agenda_.add(Tick(200ms), {Kind::stall});
}

bool World::faulty(Fault fault, std::uint64_t divisor) {
  if (calm() || knobs_.rate(fault) == 0)
    return false;
  if (faults_.below(1000 * divisor) >= static_cast<std::uint64_t>(knobs_.rate(fault)))
    return false;
  ++fault_hits_[static_cast<std::size_t>(fault)];
  return true;
}

Duration World::vary(Duration typical) {
  const std::int64_t count = std::max<std::int64_t>(1, typical.count());
  return Duration(latency_.between(std::max<std::int64_t>(1, count / 2), count + count / 2));
}

void World::echo_later(Event event) {
  const std::int64_t latest = faults_.chance(500) ? 400'000 : 30'000'000;
  agenda_.add(now_ + Duration(faults_.between(0, latest)), {Kind::echo, echoes_.size()});
  echoes_.push_back(std::move(event));
}

World::Process* World::find(Generation generation) {
  const auto found = processes_.find(generation);
  return found == processes_.end() ? nullptr : &found->second;
}

std::optional<Happening> World::next(std::optional<Tick> deadline) {
  while (true) {
    std::optional<Tick> timer_at;
    if (deadline) {
      if (timer_for_ != deadline) {
        timer_for_ = deadline;
        timer_lateness_ =
            faulty(Fault::late_timer) ? Duration(faults_.between(1, 3'000'000)) : Duration(0);
      }
      timer_at = std::max(now_, *deadline + timer_lateness_);
    }
    if (agenda_.empty() && !timer_at)
      return std::nullopt;
    const bool timer_now =
        timer_at && (agenda_.empty() || *timer_at < agenda_.next_at() ||
                     (*timer_at <= std::max(now_, agenda_.next_at()) && knobs_.timer_first));
    if (timer_now) {
      now_ = *timer_at;
      timer_for_.reset();
      return Happening{now_, Timer{}};
    }
    const auto entry = agenda_.take();
    now_ = std::max(now_, entry.at);
    auto event = happen(entry.item);
    if (!event || (entry.item.kind != Kind::deliver && hold_back(*event)))
      continue;
    return Happening{now_, std::move(*event)};
  }
}

namespace {

// Which adapter sees an event, and of what: it reports in order, two adapters need not. Empty: what
// is told at once or has no order.
struct Source {
  std::optional<std::uint64_t> of;

  void operator()(const RequestEnded& e) { of = e.request.value; }
  void operator()(const ClientGone& e) { of = e.request.value; }
  void operator()(const ServerReady& e) { of = (std::uint64_t{1} << 40) + e.generation.value; }
  void operator()(const ServerExited& e) { of = (std::uint64_t{1} << 40) + e.generation.value; }
  void operator()(const ServerUnresponsive& e) {
    of = (std::uint64_t{1} << 40) + e.generation.value;
  }
  void operator()(const ServerOutOfMemory& e) {
    of = (std::uint64_t{1} << 40) + e.generation.value;
  }
  void operator()(const ServerSampled&) { of = std::uint64_t{2} << 40; }
  void operator()(const PoolSampled&) { of = std::uint64_t{2} << 40; }
  void operator()(const ModelProfiled&) { of = std::uint64_t{3} << 40; }
  void operator()(const ProfileFailed&) { of = std::uint64_t{3} << 40; }
  void operator()(const DryRunEnded&) { of = std::uint64_t{3} << 40; }
  template <typename Other>
  void operator()(const Other&) {}
};

}  // namespace

// Whether the event will be told later. What an adapter saw after something that is held back is
// held back too, and told after it.
bool World::hold_back(const Event& event) {
  if (knobs_.rate(Fault::reorder) == 0)
    return false;
  Source source;
  std::visit(source, event);
  if (!source.of)
    return false;
  Tick& until = held_back_until_[*source.of];
  const bool behind = until > now_;
  if (!behind && !faulty(Fault::reorder))
    return false;
  until = std::max(until, now_ + (behind ? Duration(0) : Duration(faults_.between(1, 150'000))));
  agenda_.add(until, {Kind::deliver, held_back_.size()});
  held_back_.push_back(event);
  return true;
}

std::optional<Event> World::deliver(std::size_t index) {
  if (ends_another_lease(held_back_[index]))
    return std::nullopt;
  return held_back_[index];
}

// A late end must not be mistaken for the end of the lease that the request holds now.
bool World::ends_another_lease(const Event& event) const {
  const auto* ended = std::get_if<RequestEnded>(&event);
  if (ended == nullptr)
    return false;
  const Request& request = requests_[ended->request.value - 1];
  return request.state == RequestState::in_flight && request.generation == ended->generation;
}

std::optional<Event> World::happen(const Item& item) {
  switch (item.kind) {
    case Kind::open_arrival: {
      const Arrival arrival = *std::exchange(pending_open_, std::nullopt);
      plan_open_arrival();
      return arrive(arrival);
    }
    case Kind::client_arrival:
      if (calm())
        return std::nullopt;
      return arrive(pending_clients_[item.a]);
    case Kind::leave:
      return leave(RequestId(item.a));
    case Kind::end:
      return end_request(item);
    case Kind::profiled:
      return end_dry_run(ModelId(static_cast<std::uint32_t>(item.a)));
    case Kind::sample_pool:
      return sample_pool();
    case Kind::sample_device:
      return sample_device(item.a, item.b == 1);
    case Kind::lose_device:
      return lose_device();
    case Kind::tell_stalls:
      return tell_stalls();
    case Kind::calm_stalls:
      return StallSampled{};
    case Kind::move_foreign:
      move_foreign();
      return std::nullopt;
    case Kind::command:
      return draw_command();
    case Kind::unpin:
      return PinModel{CommandId(++commands_), ModelId(static_cast<std::uint32_t>(item.a)), false};
    case Kind::clear:
      return ClearModel{CommandId(++commands_), ModelId(static_cast<std::uint32_t>(item.a))};
    case Kind::echo:
      if (ends_another_lease(echoes_[item.a]))
        return std::nullopt;
      return echoes_[item.a];
    case Kind::deliver:
      return deliver(item.a);
    case Kind::reload:
      return reload();
    case Kind::restore:
      policy_ = knobs_.policy;
      return PolicyChanged{policy_, {}};
    case Kind::relearn:
      if (calm())
        return std::nullopt;
      agenda_.add(now_ + Duration(faults_.between(10'000, 20'000'000)), {Kind::relearn});
      if (!faulty(Fault::relearned))
        return std::nullopt;
      return relearn();
    case Kind::stall:
      if (calm())
        return std::nullopt;
      agenda_.add(now_ + Duration(faults_.between(100'000, 10'000'000)), {Kind::stall});
      if (faulty(Fault::clock_stall))
        now_ += Duration(faults_.between(1'000, 15'000'000));
      return std::nullopt;
    case Kind::shutdown:
      return Shutdown{};
    case Kind::calm:
      become_calm();
      return std::nullopt;
    case Kind::ready:
    case Kind::crash:
    case Kind::kill:
    case Kind::hang:
    case Kind::unresponsive:
    case Kind::run_short:
    case Kind::exit:
    case Kind::sample_server:
      break;
  }
  return happen_to_server(item);
}

std::optional<Event> World::happen_to_server(const Item& item) {
  const Generation generation(item.a);
  Process* process = find(generation);
  switch (item.kind) {
    case Kind::ready:
      return become_ready(generation);
    case Kind::crash:
      if (calm() || process == nullptr || process->state != ProcessState::ready)
        break;
      crash(generation, {FailureKind::crashed, "signal 11"});
      break;
    case Kind::kill:
      if (calm() || process == nullptr || process->state == ProcessState::exiting ||
          process->exit_planned)
        break;
      crash(generation, {FailureKind::killed, "killed by signal 9 (SIGKILL)"});
      break;
    case Kind::hang:
      if (calm() || process == nullptr || process->state != ProcessState::ready)
        break;
      process->state = ProcessState::hung;
      agenda_.add(now_ + Duration(faults_.between(1'000, 4'000'000)),
                  {Kind::unresponsive, generation.value});
      break;
    case Kind::unresponsive:
      if (process == nullptr || process->state != ProcessState::hung)
        break;
      return ServerUnresponsive{generation, {FailureKind::unresponsive, "3 probes missed"}};
    case Kind::run_short:
      if (calm() || process == nullptr || process->state != ProcessState::ready)
        break;
      return run_short(generation, *process);
    case Kind::exit:
      return exit(generation);
    case Kind::sample_server:
      return sample_server(generation);
    default:
      break;
  }
  return std::nullopt;
}

void World::plan_open_arrival() {
  pending_open_ = workload_.next_open();
  if (pending_open_) {
    agenda_.add(std::max(now_, pending_open_->at), {Kind::open_arrival});
    return;
  }
  // Closed clients may need longer: time for each of their requests, twice over, and no more.
  Duration rest(latency_.between(0, 5'000'000));
  if (knobs_.workload.pattern == Pattern::greedy) {
    rest += 2 * knobs_.workload.requests * knobs_.models[0].serve_time / knobs_.workload.clients;
  }
  agenda_.add(now_ + rest, {Kind::calm});
}

Event World::arrive(const Arrival& arrival) {
  Request request;
  request.client = arrival.client;
  request.model = arrival.request.model;
  request.poison = faulty(Fault::crash, 16);
  requests_.push_back(request);
  RequestArrived event = arrival.request;
  event.request = RequestId(requests_.size());

  const Duration serve = event.model ? knobs_.models[event.model->value].serve_time : 10ms;
  if (faulty(Fault::cancel)) {
    const std::int64_t patience = serve.count() * faults_.between(0, 3);
    agenda_.add(now_ + Duration(faults_.between(0, patience + 10)),
                {Kind::leave, event.request.value});
  }
  const auto all = static_cast<std::uint64_t>(knobs_.workload.requests);
  if (operator_.below(all) < static_cast<std::uint64_t>(knobs_.workload.commands)) {
    agenda_.add(now_ + Duration(operator_.between(0, 3'000'000)), {Kind::command});
  }
  if (shutdown_at_request_ == requests_.size()) {
    agenda_.add(now_ + Duration(operator_.between(0, 1'000'000)), {Kind::shutdown});
  }
  return event;
}

void World::finish(RequestId id) {
  Request& request = requests_[id.value - 1];
  if (request.state == RequestState::done)
    return;
  request.state = RequestState::done;
  if (!request.client || calm())
    return;
  if (auto arrival = workload_.next_of_client(*request.client, now_)) {
    agenda_.add(arrival->at, {Kind::client_arrival, pending_clients_.size()});
    pending_clients_.push_back(*arrival);
  }
}

std::optional<Event> World::end_request(const Item& item) {
  const RequestId id(item.a);
  Request& request = requests_[id.value - 1];
  if (request.state != RequestState::in_flight || request.attempt != item.b)
    return std::nullopt;
  const Generation generation = request.generation;
  if (Process* process = find(generation)) {
    // A hung server ends nothing; what it holds ends when the server does.
    if (process->state == ProcessState::hung)
      return std::nullopt;
    std::erase(process->in_flight, id);
  }
  const RequestEnded event{id, generation, item.outcome};
  // The late end of a lost request is the dangerous one: by then another server has the request.
  const bool lost = item.outcome == RequestOutcome::lost && !calm();
  if (faulty(Fault::echo) || (lost && knobs_.rate(Fault::echo) > 0 && faults_.chance(500)))
    echo_later(event);
  if (item.outcome == RequestOutcome::lost && !request.left) {
    request.state = RequestState::waiting;
  } else {
    finish(id);
  }
  return event;
}

std::optional<Event> World::leave(RequestId id) {
  Request& request = requests_[id.value - 1];
  if (request.state == RequestState::done) {
    if (!faulty(Fault::echo))
      return std::nullopt;
    return ClientGone{id};
  }
  request.left = true;
  if (request.state == RequestState::waiting) {
    finish(id);
  } else {
    agenda_.add(now_ + Duration(latency_.between(0, 50'000)),
                {Kind::end, id.value, request.attempt, RequestOutcome::client_gone});
  }
  return ClientGone{id};
}

// Operators look at what runs on the CPU.
void World::heed(const Decision& decision) {
  if (calm() || decision.kind != DecisionKind::recover)
    return;
  if (decision.reason == ReasonCode::device_failures)
    agenda_.add(now_ + Duration(operator_.between(0, 3'000'000)),
                {Kind::clear, decision.model->value});
}

Event World::draw_command() {
  const CommandId id(++commands_);
  const ModelId model(static_cast<std::uint32_t>(operator_.below(knobs_.models.size())));
  if (!devices_.empty() && operator_.chance(150))
    return ClearModel{id, model};
  switch (operator_.below(10)) {
    case 0:
      return Flush{id};
    case 1:
      return PinModel{id, model, true};
    case 2:
      return PinModel{id, model, false};
    case 3:
    case 4:
    case 5:
      return UnloadModel{id, model};
    default:
      return LoadModel{id, model, operator_.chance(700)};
  }
}

Event World::relearn() {
  const ModelId model(static_cast<std::uint32_t>(faults_.below(knobs_.models.size())));
  ModelProfiled event{model, knobs_.models[model.value].rows};
  for (PlacementRow& row : event.rows) {
    row.host_anon = permille_of(row.host_anon, faults_.between(800, 1250));
    row.source = FootprintSource::learned;
  }
  return event;
}

std::optional<Event> World::reload() {
  if (calm())
    return std::nullopt;
  agenda_.add(now_ + Duration(faults_.between(10'000, 20'000'000)), {Kind::reload});
  if (!faulty(Fault::reload))
    return std::nullopt;
  PolicyChanged event;
  edit_policy(faults_, knobs_, policy_, event.changed);
  event.policy = policy_;
  return event;
}

void World::become_calm() {
  calm_since_ = now_;
  returning_.clear();
  foreign_ = knobs_.foreign;
  calm_devices();
  if (knobs_.rate(Fault::reload) > 0)
    agenda_.add(now_, {Kind::restore});
  if (knobs_.unpin_when_calm) {
    for (std::size_t i = 0; i < knobs_.models.size(); ++i)
      agenda_.add(now_, {Kind::unpin, i});
  }
  agenda_.add(now_, {Kind::sample_pool});
  if (knobs_.shutdown == ShutdownKind::at_end) {
    agenda_.add(now_ + Duration(operator_.between(0, 20'000'000)), {Kind::shutdown});
  }
}

void World::apply(Tick now, const Actions& actions) {
  TONNAGE_CHECK(now == now_, "actions belong to the event that came last");
  for (const Action& action : actions) {
    if (const auto* profile = std::get_if<Profile>(&action))
      do_profile(*profile);
    if (const auto* start = std::get_if<StartServer>(&action))
      do_start(*start);
    if (const auto* stop = std::get_if<StopServer>(&action))
      do_stop(*stop);
    if (const auto* decided = std::get_if<Decided>(&action))
      heed(decided->decision);
    if (const auto* remains = std::get_if<KillRemains>(&action))
      kill_remains(*remains);
    if (const auto* admit = std::get_if<Admit>(&action))
      do_admit(*admit);
    if (const auto* refuse = std::get_if<Refuse>(&action))
      finish(refuse->request);
  }
}

}  // namespace tonnage::sim
