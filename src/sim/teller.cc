#include "sim/teller.h"

#include <algorithm>

namespace tonnage::sim {

Teller::Teller(const ScenarioSetting& setting)
    : setting_(setting),
      governor_(setting.policy, Tick{}),
      referee_(setting.policy, false),
      starts_(setting.policy.models.size()) {
  step(PoolSampled{kHostPool, setting.capacity, Bytes(0)});
}

void Teller::tell(Tick at, const Event& event) {
  pass_time(at);
  if (broken())
    return;
  now_ = std::max(now_, at);
  told_.push_back({now_, event});
  step(event);
}

void Teller::pass_time(Tick until) {
  // A governor that asks for one Timer after the other would keep this loop for ever.
  constexpr int kTimersMax = 10'000;
  if (setting_.timers_by_hand)
    return;
  for (int i = 0; i < kTimersMax && !broken(); ++i) {
    const auto deadline = governor_.next_deadline();
    if (!deadline || *deadline > until)
      return;
    now_ = std::max(now_, *deadline);
    step(Timer{});
  }
}

void Teller::step(const Event& event) {
  Actions actions;
  governor_.step(now_, event, actions);
  ++steps_;
  referee_.watch(governor_, now_, event, actions, findings_);
  for (const Action& action : actions) {
    if (const auto* start = std::get_if<StartServer>(&action))
      starts_[start->model.value].push_back(start->generation);
  }
  if (setting_.profiles_by_hand)
    return;
  for (const Action& action : actions) {
    const auto* profile = std::get_if<Profile>(&action);
    if (profile != nullptr && !broken())
      step(ModelProfiled{profile->model, setting_.rows[profile->model.value]});
  }
}

std::optional<Generation> Teller::server_of(ModelId model, std::size_t back) const {
  const std::vector<Generation>& starts = starts_[model.value];
  if (back >= starts.size())
    return std::nullopt;
  return starts[starts.size() - 1 - back];
}

// One answer for everything that adapters still have to say, in the order of ids.
std::vector<Event> Teller::owed() const {
  std::vector<Event> events;
  for (std::uint32_t i = 0; i < books().models().size(); ++i) {
    if (books().models()[i].profiling)
      events.emplace_back(ModelProfiled{ModelId(i), setting_.rows[i]});
  }
  for (const auto& [generation, server] : books().servers()) {
    if (server.stop_at) {
      events.emplace_back(ServerExited{generation, std::nullopt});
    } else if (!server.ready_at) {
      events.emplace_back(ServerReady{generation});
    }
  }
  for (const RequestId id : books().open_requests()) {
    const Books::Request& request = *books().request(id);
    if (request.state != Books::RequestState::admitted)
      continue;
    const bool alive = books().server(request.generation) != nullptr;
    events.emplace_back(RequestEnded{id, request.generation,
                                     alive ? RequestOutcome::answered : RequestOutcome::broken});
  }
  return events;
}

void Teller::finish(Duration bound) {
  const Tick end = now_ + bound;
  constexpr Duration kPause = 1s;
  while (!broken() && now_ < end) {
    const std::vector<Event> events = owed();
    const Tick at = now_ + kPause;
    for (const Event& event : events)
      tell(at, event);
    if (!events.empty())
      continue;
    if (books().waiting() == 0 && books().commands_pending() == 0)
      return;
    const auto deadline = governor_.next_deadline();
    if (!deadline || *deadline > end)
      break;
    if (setting_.timers_by_hand) {
      tell(*deadline, Timer{});
    } else {
      pass_time(*deadline);
    }
  }
  if (broken())
    return;
  for (const RequestId id : books().open_requests()) {
    findings_.add("liveness", "request " + std::to_string(id.value) + " is never answered");
  }
  if (books().commands_pending() > 0)
    findings_.add("liveness", "a command is never answered");
}

}  // namespace tonnage::sim
