#include "sim/scenario.h"

#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "core/governor.h"
#include "sim/describe.h"
#include "sim/referee.h"
#include "sim/scenario_policy.h"

namespace tonnage::sim {
namespace {

// Commands that a scenario gives in silence get numbers that no scenario uses.
constexpr std::uint64_t kSilentNumbers = 900;

class Player {
 public:
  explicit Player(ScenarioSetting setting)
      : setting_(std::move(setting)),
        governor_(setting_.policy, Tick{}),
        referee_(setting_.policy, false) {
    for (std::uint32_t i = 0; i < setting_.policy.pools.size(); ++i)
      step(sample_of(PoolId(i)));
  }

  // A line "at TIME ...": lets time pass, then does what the line says. Output goes to `out`.
  Result<void> take(const Words& words, std::string& out) {
    out_ = &out;
    const auto at = words.size() > 1 ? parse_duration(words[1])
                                     : Result<Duration>(fail("a line without a time"));
    if (!at)
      return std::unexpected(at.error());
    if (Tick(*at) < now_)
      return fail("time goes back", words[1]);
    pass_time(Tick(*at));
    now_ = Tick(*at);
    return act(Words(words.begin() + 2, words.end()));
  }

 private:
  void pass_time(Tick until) {
    // A governor that asks for one Timer after the other would keep this loop for ever.
    constexpr int kTimersMax = 10'000;
    if (setting_.timers_by_hand)
      return;
    for (int i = 0; i < kTimersMax; ++i) {
      const auto deadline = governor_.next_deadline();
      if (!deadline || *deadline > until)
        return;
      now_ = std::max(now_, *deadline);
      prefix_ = tonnage::to_text(now_.time_since_epoch()) + " ";
      step(Timer{});
      prefix_.clear();
    }
    print("BROKEN: the deadline never moves");
  }

  Result<void> act(const Words& words) {
    if (words.empty())
      return fail("a line without an event");
    const std::string& verb = words[0];
    if (verb == "wait")
      return {};
    if (verb == "state") {
      print_state();
      return {};
    }
    if (verb == "shutdown") {
      step(Shutdown{});
      return {};
    }
    if (verb == "timer") {
      step(Timer{});
      return {};
    }
    if (words.size() < 2)
      return fail("too few words", "'" + verb + "'");
    if (verb == "reload")
      return reload(words);
    if (verb == "request")
      return request(words);
    if (verb == "command")
      return command(words);
    if (verb == "foreign" || verb == "capacity" || verb == "used")
      return sample(kHostPool, words, 0);
    if (const auto pool = setting_.find_pool(verb))
      return sample(*pool, words, 1);
    if (verb == "lost" || verb == "stalls")
      return trouble(words);
    if (verb == "profiled" || verb == "unprofiled" || verb == "learned" || verb == "dry_run_ended")
      return profile_ends(words);
    if (words.size() == 3 && words[1] == "is")
      return model_is(words[0], words[2]);
    if (verb == "end" || verb == "gone")
      return request_ends(words);
    return server(words);
  }

  Result<void> reload(const Words& words) {
    PolicyChanged event;
    if (auto result = take_changes(setting_, words, event.changed); !result)
      return result;
    event.policy = setting_.policy;
    step(event);
    return {};
  }

  // A pool in which nothing is but what our servers were predicted to hold.
  PoolSampled sample_of(PoolId pool) const {
    PoolSampled event;
    event.pool = pool;
    event.capacity =
        pool == kHostPool ? setting_.capacity : setting_.device_capacity[pool.value - 1];
    for (const auto& [generation, amounts] : running_)
      event.used += amounts[pool.value];
    return event;
  }

  // "foreign 1GiB", "capacity 8GiB foreign 1GiB", "gpu0 foreign 1GiB orphaned 1GiB". What is in use
  // is what others hold and what our servers were predicted to hold, unless it is said.
  Result<void> sample(PoolId pool, const Words& words, std::size_t first) {
    PoolSampled event = sample_of(pool);
    bool used_given = false;
    for (std::size_t i = first; i + 1 < words.size(); i += 2) {
      const bool negative = words[i + 1].starts_with('-');
      const auto bytes = parse_bytes(words[i + 1].substr(negative ? 1 : 0));
      if (!bytes)
        return std::unexpected(bytes.error());
      const Bytes value = negative ? -*bytes : *bytes;
      used_given = used_given || words[i] == "used";
      if (words[i] == "orphaned") {
        event.orphaned = value;
        continue;
      }
      (words[i] == "capacity"   ? event.capacity
       : words[i] == "used"     ? event.used
       : words[i] == "expected" ? event.expected
                                : event.foreign) = value;
    }
    if (!used_given)
      event.used += event.foreign;
    step(event);
    return {};
  }

  // "lost gpu0 words...", "stalls some 300 full 50".
  Result<void> trouble(const Words& words) {
    if (words[0] == "lost") {
      const auto pool = setting_.find_pool(words[1]);
      if (!pool)
        return fail("unknown pool", "'" + words[1] + "'");
      step(PoolLost{*pool, rest_of(words, 2)});
      return {};
    }
    StallSampled event;
    for (std::size_t i = 1; i + 1 < words.size(); i += 2) {
      const auto permille = parse_integer(words[i + 1]);
      if (!permille)
        return std::unexpected(permille.error());
      (words[i] == "full" ? event.full_permille : event.some_permille) = *permille;
    }
    step(event);
    return {};
  }

  // "profiled A", "unprofiled A words...", "dry_run_ended A", or "learned A 300MiB 200MiB" with
  // memory per row.
  Result<void> profile_ends(const Words& words) {
    const auto model = setting_.find_model(words[1]);
    if (!model)
      return std::unexpected(model.error());
    if (words[0] == "dry_run_ended") {
      step(DryRunEnded{*model});
      return {};
    }
    if (words[0] == "unprofiled") {
      step(ProfileFailed{*model, {FailureKind::exited, rest_of(words, 2)}});
      return {};
    }
    ModelProfiled event{*model, setting_.rows[model->value]};
    for (std::size_t i = 2; i < words.size() && i - 2 < event.rows.size(); ++i) {
      const auto bytes = parse_bytes(words[i]);
      if (!bytes)
        return std::unexpected(bytes.error());
      event.rows[i - 2].host_anon = *bytes;
      event.rows[i - 2].source = FootprintSource::learned;
    }
    step(event);
    return {};
  }

  static std::string rest_of(const Words& words, std::size_t first) {
    std::string rest;
    for (std::size_t i = first; i < words.size(); ++i)
      rest += (rest.empty() ? "" : " ") + words[i];
    return rest;
  }

  static Result<std::uint64_t> number(const std::string& word, char letter) {
    if (word.empty() || word[0] != letter)
      return fail("not a name of this kind", "'" + word + "'", "",
                  std::string("write ") + letter + "1, " + letter + "2, ...");
    const auto value = parse_integer(word.substr(1));
    if (!value)
      return std::unexpected(value.error());
    return static_cast<std::uint64_t>(*value);
  }

  Result<void> request(const Words& words) {
    const auto id = number(words[1], 'r');
    if (!id)
      return std::unexpected(id.error());
    if (words.size() < 4 || words[2] != "for")
      return fail("write request r1 for MODEL");
    RequestArrived event{RequestId(*id)};
    if (words[3] != "resident") {
      const auto model = setting_.find_model(words[3]);
      if (!model)
        return std::unexpected(model.error());
      event.model = *model;
    }
    for (std::size_t i = 4; i < words.size(); ++i) {
      if (words[i] == "uncounted") {
        event.counted = false;
      } else if ((words[i] == "context" || words[i] == "wishes") && i + 1 < words.size()) {
        const bool wish = words[i] == "wishes";
        const auto context = parse_integer(words[++i]);
        if (!context)
          return std::unexpected(context.error());
        (wish ? event.context_wished : event.context_needed) = static_cast<std::int32_t>(*context);
      } else if (words[i] == "slots" && i + 1 < words.size()) {
        const auto slots = parse_integer(words[++i]);
        if (!slots)
          return std::unexpected(slots.error());
        event.slots = static_cast<std::int32_t>(*slots);
      } else if (words[i] == "priority" && i + 1 < words.size()) {
        const auto priority = parse_priority(words[++i]);
        if (!priority)
          return std::unexpected(priority.error());
        event.priority = *priority;
      } else {
        return fail("unknown word of a request", "'" + words[i] + "'");
      }
    }
    step(event);
    return {};
  }

  Result<void> request_ends(const Words& words) {
    const auto id = number(words[1], 'r');
    if (!id)
      return std::unexpected(id.error());
    const RequestId request(*id);
    if (words[0] == "gone") {
      step(ClientGone{request});
      return {};
    }
    RequestEnded event{request, at_server_[request]};
    std::size_t next = 2;
    if (words.size() > next && words[next].starts_with('g')) {
      const auto generation = number(words[next++], 'g');
      if (!generation)
        return std::unexpected(generation.error());
      event.generation = Generation(*generation);
    }
    const std::string how = words.size() > next ? words[next] : "answered";
    for (const auto outcome : {RequestOutcome::answered, RequestOutcome::client_gone,
                               RequestOutcome::lost, RequestOutcome::broken}) {
      if (how != tonnage::to_text(outcome))
        continue;
      event.outcome = outcome;
      step(event);
      return {};
    }
    return fail("unknown end of a request", "'" + how + "'");
  }

  Result<void> command(const Words& words) {
    const auto id = number(words[1], 'c');
    if (!id)
      return std::unexpected(id.error());
    const CommandId command(*id);
    const std::string verb = words.size() > 2 ? words[2] : "";
    if (verb == "flush") {
      step(Flush{command});
      return {};
    }
    const auto model = setting_.find_model(words.size() > 3 ? words[3] : "");
    if (!model)
      return std::unexpected(model.error());
    if (verb == "load") {
      const bool sparing = words.size() > 4 && words[4] == "sparing";
      step(LoadModel{command, *model, !sparing});
    } else if (verb == "unload") {
      step(UnloadModel{command, *model});
    } else if (verb == "clear") {
      step(ClearModel{command, *model});
    } else if (verb == "pin" || verb == "unpin") {
      step(PinModel{command, *model, verb == "pin"});
    } else {
      return fail("unknown command", "'" + verb + "'");
    }
    return {};
  }

  Result<void> model_is(const std::string& name, const std::string& state) {
    const auto model = setting_.find_model(name);
    if (!model)
      return std::unexpected(model.error());
    silent_ = true;
    if (state == "ready") {
      step(LoadModel{CommandId(kSilentNumbers + ++silent_number_), *model});
      if (started_.contains(*model))
        step(ServerReady{started_[*model]});
    } else if (state == "used") {
      const RequestId id(kSilentNumbers + ++silent_number_);
      step(RequestArrived{id, *model});
      step(RequestEnded{id, at_server_[id]});
    }
    silent_ = false;
    if (state != "ready" && state != "used")
      return fail("a model is ready or used, not", "'" + state + "'");
    return {};
  }

  Result<void> server(const Words& words) {
    const auto id = number(words[1], 'g');
    if (!id)
      return std::unexpected(id.error());
    const Generation generation(*id);
    if (words[0] == "ready") {
      step(ServerReady{generation});
    } else if (words[0] == "hang") {
      step(ServerUnresponsive{generation, {FailureKind::unresponsive, "three probes missed"}});
    } else if (words[0] == "short") {
      step(ServerOutOfMemory{generation, failure_of(words)});
    } else if (words[0] == "measured") {
      const auto bytes = parse_bytes(words.size() > 2 ? words[2] : std::string());
      if (!bytes)
        return std::unexpected(bytes.error());
      ServerSampled event{generation, *bytes, {}};
      for (std::size_t i = 3; i + 1 < words.size(); i += 2) {
        const auto pool = setting_.find_pool(words[i]);
        const auto held = parse_bytes(words[i + 1]);
        if (!pool || *pool == kHostPool || !held)
          return fail("write measured g1 300MiB gpu0 4GiB");
        event.device_bytes.resize(setting_.policy.pools.size() - 1);
        event.device_bytes[pool->value - 1] = *held;
      }
      step(event);
    } else if (words[0] == "exit") {
      std::optional<Failure> failure;
      if (words.size() > 2)
        failure = failure_of(words);
      step(ServerExited{generation, failure});
    } else {
      return fail("unknown event", "'" + words[0] + "'");
    }
    return {};
  }

  // Behind the server's name: a kind, and words for people.
  static Failure failure_of(const Words& words) {
    Failure failure;
    failure.text = rest_of(words, 3);
    for (int kind = 0; kind <= static_cast<int>(FailureKind::killed); ++kind) {
      if (words.size() > 2 && words[2] == tonnage::to_text(static_cast<FailureKind>(kind)))
        failure.kind = static_cast<FailureKind>(kind);
    }
    return failure;
  }

  // What a server holds by the row that it was started with.
  void note_start(const StartServer& start) {
    std::vector<Bytes>& amounts = running_[start.generation];
    amounts.resize(setting_.policy.pools.size());
    for (const PlacementRow& row : setting_.rows[start.model.value]) {
      if (row.placement != start.placement || row.device_bytes.size() != start.devices.size())
        continue;
      amounts[kHostPool.value] = row.host_anon;
      for (std::size_t i = 0; i < start.devices.size(); ++i)
        amounts[start.devices[i].value] += row.device_bytes[i];
      return;
    }
  }

  void step(const Event& event) {
    if (const auto* exited = std::get_if<ServerExited>(&event))
      running_.erase(exited->generation);
    Actions actions;
    governor_.step(now_, event, actions);
    Findings findings;
    referee_.watch(governor_, now_, event, actions, findings);
    for (const Action& action : actions) {
      // A refusal says the same as the decision before it.
      const auto* decided = std::get_if<Decided>(&action);
      if (decided != nullptr && decided->decision.kind == DecisionKind::refuse)
        continue;
      print("-> " + describe(action, setting_.policy));
    }
    for (const std::string& finding : findings.list()) {
      silent_ = false;
      print("BROKEN: " + finding);
    }
    for (const Action& action : actions) {
      if (const auto* admit = std::get_if<Admit>(&action))
        at_server_[admit->request] = admit->generation;
      if (const auto* start = std::get_if<StartServer>(&action)) {
        started_[start->model] = start->generation;
        note_start(*start);
      }
      const auto* profile = std::get_if<Profile>(&action);
      if (profile != nullptr && !setting_.profiles_by_hand)
        step(ModelProfiled{profile->model, setting_.rows[profile->model.value]});
    }
  }

  void print(const std::string& line) {
    if (out_ != nullptr && !silent_)
      *out_ += "  " + prefix_ + line + "\n";
  }

  void print_state() {
    const Snapshot snapshot = governor_.snapshot(now_);
    for (const ModelSnapshot& model : snapshot.models) {
      std::string line = model.id + " is " + std::string(tonnage::to_text(model.state));
      if (model.generation)
        line += " as g" + std::to_string(model.generation->value);
      if (model.cpu_only)
        line += ", on the CPU after failures";
      if (model.degraded)
        line += ", degraded";
      if (model.stalled)
        line += ", stalled";
      if (model.pinned)
        line += ", pinned";
      if (model.leases > 0)
        line += ", " + std::to_string(model.leases) + " at work";
      if (model.waiting > 0)
        line += ", " + std::to_string(model.waiting) + " waiting";
      print(line);
    }
    for (const PoolSnapshot& pool : snapshot.pools) {
      print(pool.name + " has " + tonnage::to_text(pool.headroom) + " free of a budget of " +
            tonnage::to_text(pool.budget) + (pool.level.empty() ? "" : ", " + pool.level));
    }
  }

  ScenarioSetting setting_;
  Governor governor_;
  Referee referee_;
  Tick now_{};
  std::string* out_ = nullptr;
  std::string prefix_;
  bool silent_ = false;
  std::uint64_t silent_number_ = 0;
  std::map<RequestId, Generation> at_server_;
  std::map<ModelId, Generation> started_;
  std::map<Generation, std::vector<Bytes>> running_;  // what each holds per pool
};

}  // namespace

Result<std::string> play_scenario(std::string_view text) {
  ScenarioSetting setting = default_setting();
  std::optional<Player> player;
  std::string out;
  std::istringstream lines{std::string(text)};
  int line_number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++line_number;
    if (line.starts_with(' '))
      continue;  // output of an earlier run
    out += line + "\n";
    const Words words = split_words(line);
    if (words.empty() || words[0].starts_with('#'))
      continue;
    Result<void> result;
    if (words[0] != "at") {
      result = player ? fail("settings come before events") : take_setting(setting, words);
    } else {
      if (!player)
        player.emplace(setting);
      result = player->take(words, out);
    }
    if (!result)
      return fail("line " + std::to_string(line_number), "'" + line + "'", result.error().text());
  }
  return out;
}

}  // namespace tonnage::sim
