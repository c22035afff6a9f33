#include "sim/script.h"

#include <algorithm>
#include <utility>

#include "core/governor.h"
#include "sim/run.h"
#include "sim/scenario.h"
#include "sim/teller.h"
#include "sim/world.h"

namespace tonnage::sim {
namespace {

std::string rule_of(const std::string& finding) {
  return finding.substr(0, finding.find(':'));
}

// --- Telling again -------------------------------------------------------------------------------

// The generation that the event means now; nothing when it could not happen now.
std::optional<Generation> meant(const ScriptEvent& entry, const Teller& teller) {
  const auto generation = teller.server_of(*entry.server_of, entry.back);
  if (!generation)
    return std::nullopt;
  const Books::Server* server = teller.books().server(*generation);
  if (entry.late)
    return server == nullptr ? generation : std::nullopt;
  if (server == nullptr)
    return std::nullopt;
  const bool ready = server->ready_at && !server->stop_at;
  bool possible = true;
  if (std::holds_alternative<ServerReady>(entry.event))
    possible = !server->ready_at;
  if (std::holds_alternative<ServerUnresponsive>(entry.event) ||
      std::holds_alternative<ServerOutOfMemory>(entry.event))
    possible = ready && !server->useless;
  if (const auto* exit = std::get_if<ServerExited>(&entry.event))
    possible = exit->failure.has_value() || server->stop_at.has_value();
  return possible ? generation : std::nullopt;
}

std::optional<Event> bind_end(const ScriptEvent& entry, const Teller& teller) {
  RequestEnded event = std::get<RequestEnded>(entry.event);
  const Books::Request* request = teller.books().request(event.request);
  if (request == nullptr)
    return std::nullopt;
  const bool admitted = request->state == Books::RequestState::admitted;
  if (!entry.late) {
    event.generation = request->generation;
    return admitted ? std::optional<Event>(event) : std::nullopt;
  }
  const auto generation = teller.server_of(*entry.server_of, entry.back);
  if (!generation || (admitted && request->generation == *generation))
    return std::nullopt;
  event.generation = *generation;
  return event;
}

// A script's dry run answers with the rows of its setting, and learning changes their memory alone:
// so a script can be told with simpler rows.
void fill_in(ModelProfiled& event, const std::vector<PlacementRow>& rows) {
  const std::vector<PlacementRow> learned = std::exchange(event.rows, rows);
  for (std::size_t i = 0; i < learned.size() && i < rows.size(); ++i) {
    event.rows[i].host_anon = learned[i].host_anon;
    event.rows[i].source = FootprintSource::learned;
  }
}

std::optional<Event> bind(const ScriptEvent& entry, const ScenarioSetting& setting,
                          const Teller& teller) {
  Event event = entry.event;
  if (std::holds_alternative<RequestEnded>(event))
    return bind_end(entry, teller);
  if (const auto* gone = std::get_if<ClientGone>(&event)) {
    const Books::Request* request = teller.books().request(gone->request);
    return request != nullptr ? std::optional(event) : std::nullopt;
  }
  if (auto* profiled = std::get_if<ModelProfiled>(&event))
    fill_in(*profiled, setting.rows[profiled->model.value]);
  if (const auto* failed = std::get_if<ProfileFailed>(&event)) {
    return teller.books().model(failed->model).profiling ? std::optional(event) : std::nullopt;
  }
  if (const auto* ended = std::get_if<DryRunEnded>(&event)) {
    return teller.books().model(ended->model).profiling ? std::optional(event) : std::nullopt;
  }
  if (!entry.server_of)
    return event;
  const auto generation = meant(entry, teller);
  if (!generation)
    return std::nullopt;
  const auto set = [&]<typename T>(T& e) {
    if constexpr (requires { e.generation; })
      e.generation = *generation;
  };
  std::visit(set, event);
  return event;
}

}  // namespace

std::optional<Retold> retell(const Script& script) {
  Teller teller(script.setting);
  Retold retold;
  for (const ScriptEvent& entry : script.events) {
    teller.pass_time(entry.at);
    if (teller.broken())
      break;
    const auto event = bind(entry, script.setting, teller);
    if (!event)
      continue;
    teller.tell(entry.at, *event);
    retold.kept.push_back(entry);
    if (teller.broken())
      break;
  }
  if (script.bound && !teller.broken())
    teller.finish(*script.bound);
  retold.steps = teller.steps();
  for (const std::string& finding : teller.findings().list()) {
    if (rule_of(finding) == script.rule && retold.finding.empty())
      retold.finding = finding;
  }
  for (const Happening& happening : teller.told())
    retold.told.emplace_back(happening.at, happening.event);
  return retold.finding.empty() ? std::nullopt : std::optional(std::move(retold));
}

// --- From a seed to a script ---------------------------------------------------------------------

namespace {

// Watches a run, and says of each event which server it is about.
class Transcriber {
 public:
  explicit Transcriber(const Policy& policy) : books_(policy), starts_(policy.models.size()) {}

  ScriptEvent transcribe(const Happening& happening) const {
    ScriptEvent entry{happening.at, happening.event, {}, 0, false};
    const auto find = [&]<typename T>(const T& event) {
      if constexpr (requires { event.generation; })
        locate(event.generation, entry);
    };
    std::visit(find, happening.event);
    if (const auto* ended = std::get_if<RequestEnded>(&happening.event)) {
      const Books::Request* request = books_.request(ended->request);
      entry.late = request == nullptr || request->state != Books::RequestState::admitted ||
                   request->generation != ended->generation;
    }
    return entry;
  }

  void apply(const Happening& happening, const Actions& actions) {
    books_.apply(happening.at, happening.event);
    for (const Action& action : actions) {
      books_.apply(happening.at, action);
      if (const auto* start = std::get_if<StartServer>(&action))
        starts_[start->model.value].push_back(start->generation);
    }
  }

 private:
  void locate(Generation generation, ScriptEvent& entry) const {
    for (std::uint32_t i = 0; i < starts_.size(); ++i) {
      const auto found = std::find(starts_[i].begin(), starts_[i].end(), generation);
      if (found == starts_[i].end())
        continue;
      entry.server_of = ModelId(i);
      entry.back = static_cast<std::size_t>(starts_[i].end() - found) - 1;
    }
    entry.late = books_.server(generation) == nullptr;
  }

  Books books_;
  std::vector<std::vector<Generation>> starts_;
};

}  // namespace

Script script_of(const Knobs& knobs, std::uint64_t events, const std::string& finding) {
  Script script;
  script.rule = rule_of(finding);
  if (script.rule == "liveness")
    script.bound = liveness_bound(knobs);
  script.setting = default_setting();
  script.setting.policy = knobs.policy;
  script.setting.capacity = knobs.capacity;
  for (const DeviceTruth& device : knobs.devices)
    script.setting.device_capacity.push_back(device.capacity);
  script.setting.timers_by_hand = true;
  script.setting.profiles_by_hand = true;
  for (const ModelTruth& truth : knobs.models)
    script.setting.rows.push_back(truth.rows);
  World world(knobs);
  Governor governor(knobs.policy, Tick{});
  Transcriber transcriber(knobs.policy);
  Actions actions;
  for (std::uint64_t i = 0; i < events; ++i) {
    const auto happening = world.next(governor.next_deadline());
    if (!happening)
      break;
    script.events.push_back(transcriber.transcribe(*happening));
    if (auto* profiled = std::get_if<ModelProfiled>(&script.events.back().event)) {
      if (profiled->rows == knobs.models[profiled->model.value].rows)
        profiled->rows.clear();
    }
    actions.clear();
    governor.step(happening->at, happening->event, actions);
    world.apply(happening->at, actions);
    transcriber.apply(*happening, actions);
  }
  return script;
}

std::string write_scenario(const Script& script, std::uint64_t seed) {
  const auto retold = retell(script);
  std::string text = "# Shrunk from seed " + std::to_string(seed) + ": " +
                     (retold ? retold->finding : script.rule) + "\n" +
                     write_setting(script.setting);
  if (!retold)
    return text;
  Tick last{};
  Policy policy = script.setting.policy;
  for (const auto& [at, event] : retold->told) {
    text += write_event(at, event, policy);
    if (const auto* changed = std::get_if<PolicyChanged>(&event))
      policy = changed->policy;
    last = at;
  }
  // Rules about what did not happen need time to pass.
  text += "at " + tonnage::to_text(last.time_since_epoch() + script.bound.value_or(Duration(0))) +
          " wait\n";
  const auto played = play_scenario(text);
  return played ? *played : text + "# it cannot be played: " + played.error().text() + "\n";
}

}  // namespace tonnage::sim
