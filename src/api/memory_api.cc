#include "api/memory_api.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include "api/client_facts.h"
#include "api/founding_shapes.h"
#include "api/snapshot_json.h"

namespace tonnage::api {
namespace {

OrderedJson list_json(OrderedJson data) {
  OrderedJson list;
  list["object"] = "list";
  list["data"] = std::move(data);
  return list;
}

OrderedJson openai_json(const ModelSnapshot& model, const ApiContext& context) {
  const ModelFace& face = face_of(model.model, context);
  OrderedJson entry{
      {"id", model.id}, {"object", "model"}, {"created", face.created_s}, {"owned_by", "tonnage"}};
  add_client_facts(entry, &model, face);
  entry["tonnage"] = model_json(model, context);
  return entry;
}

OrderedJson resident_json(const Snapshot& snapshot, const ApiContext& context) {
  const auto now = resident_model(snapshot);
  const ModelSnapshot* model = now ? find_model(snapshot, *now) : nullptr;
  OrderedJson entry{
      {"id", "resident"}, {"object", "model"}, {"created", 0}, {"owned_by", "tonnage"}};
  add_client_facts(entry, model, now ? face_of(*now, context) : ModelFace{});
  entry["tonnage"] = {{"virtual", true}, {"stands_for", model_name(now, context.policy)}};
  return entry;
}

OrderedJson decision_value(const LoggedDecision& entry, const ApiContext& context) {
  const Decision& decision = entry.decision;
  OrderedJson victims = OrderedJson::array();
  for (const ModelId victim : decision.victims) {
    victims.push_back(model_name(victim, context.policy));
  }
  OrderedJson row;
  row["seq"] = entry.seq;
  row["time_ms"] = context.clock.unix_ms(decision.at);
  row["kind"] = tonnage::to_text(decision.kind);
  row["reason"] = tonnage::to_text(decision.reason);
  row["model"] = model_name(decision.model, context.policy);
  row["other"] = model_name(decision.other, context.policy);
  row["explain"] = explain(decision, context.policy);
  row["request"] = decision.request ? OrderedJson(decision.request->value) : OrderedJson();
  row["generation"] = decision.generation ? OrderedJson(decision.generation->value) : OrderedJson();
  row["placement"] = placement_json(decision.placement);
  row["pool"] = pool_name(decision.pool, context.policy);
  row["need_bytes"] = decision.need.count;
  row["headroom_bytes"] = decision.headroom.count;
  row["usable_bytes"] = decision.usable.count;
  row["victims"] = std::move(victims);
  row["tried"] = tried_json(decision);
  row["waited_ms"] = to_ms(decision.waited);
  row["retry_after_ms"] = to_ms(decision.retry_after);
  const bool level = decision.kind == DecisionKind::level;
  row["used_bytes"] = level ? OrderedJson(decision.used.count) : OrderedJson();
  row["capacity_bytes"] = level ? OrderedJson(decision.capacity.count) : OrderedJson();
  row["foreign_bytes"] = level ? OrderedJson(decision.foreign.count) : OrderedJson();
  row["cooldown_ms"] = decision.cooldown ? OrderedJson(to_ms(*decision.cooldown)) : OrderedJson();
  row["failure"] =
      decision.failure ? OrderedJson(tonnage::to_text(*decision.failure)) : OrderedJson();
  row["text"] = decision.text;
  return row;
}

// Of the time at which the run began: no two begin in the same microsecond.
std::string run_name(const WallClock& clock) {
  std::array<char, 20> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), clock.unix_us_at_zero, 36);
  return {text.data(), end.ptr};
}

// Models whose state, tier or placement differs.
OrderedJson moved_json(const Snapshot& before, const Snapshot& after) {
  OrderedJson rows = OrderedJson::array();
  for (const ModelSnapshot& now : after.models) {
    const ModelSnapshot* then = find_model(before, now.model);
    if (then == nullptr ||
        (then->state == now.state && then->tier == now.tier && then->placement == now.placement)) {
      continue;
    }
    rows.push_back({{"model", now.id},
                    {"from_state", tonnage::to_text(then->state)},
                    {"to_state", tonnage::to_text(now.state)},
                    {"from_tier", tonnage::to_text(then->tier)},
                    {"to_tier", tonnage::to_text(now.tier)},
                    {"reserved_before_bytes", then->reserved.count},
                    {"reserved_after_bytes", now.reserved.count},
                    {"weights_bytes", now.weights.count}});
  }
  return rows;
}

}  // namespace

void WallClock::moved(Tick from, std::int64_t unix_us) {
  if (moves.size() == kMovesMax)
    moves.erase(moves.begin());
  moves.push_back({from, unix_us});
}

std::int64_t WallClock::unix_ms(Tick tick) const {
  std::int64_t zero = unix_us_at_zero;
  for (const WallMove& move : moves) {
    if (move.from <= tick)
      zero = move.unix_us_at_zero;
  }
  return (zero + tick.time_since_epoch().count()) / 1000;
}

std::string status_json(const Snapshot& snapshot, const ApiContext& context,
                        const DaemonFacts& daemon) {
  OrderedJson models = OrderedJson::array();
  for (const ModelSnapshot& model : snapshot.models)
    models.push_back(model_json(model, context));
  OrderedJson status;
  status["time_ms"] = context.clock.unix_ms(snapshot.at);
  status["daemon"] = {{"version", daemon.version},
                      {"listen", daemon.listen},
                      {"pid", daemon.pid},
                      {"uptime_ms", to_ms(daemon.uptime)},
                      {"memory_source", daemon.memory_source}};
  status["healthy"] = snapshot.problems.empty();
  status["problems"] = problems_json(snapshot.problems);
  status["shutting_down"] = snapshot.shutting_down;
  status["waiting"] = snapshot.waiting;
  status["leases"] = snapshot.leases;
  status["preset"] = snapshot.preset;
  status["pools"] = pools_json(snapshot);
  status["models"] = std::move(models);
  add_router_view(status, snapshot, context, daemon.last_unload);
  return dump(status);
}

std::string memory_models_json(const Snapshot& snapshot, const ApiContext& context) {
  OrderedJson models = OrderedJson::array();
  for (const ModelSnapshot& model : snapshot.models)
    models.push_back(model_json(model, context));
  return dump(list_json(std::move(models)));
}

std::string memory_model_json(const Snapshot& snapshot, ModelId model, const ApiContext& context) {
  return dump(model_or_null(snapshot, model, context));
}

std::string openai_models_json(const Snapshot& snapshot, const ApiContext& context,
                               const std::vector<bool>& visible, bool resident) {
  OrderedJson models = OrderedJson::array();
  for (const ModelSnapshot& model : snapshot.models) {
    const std::size_t index = model.model.value;
    if (!visible.empty() && (index >= visible.size() || !visible[index]))
      continue;
    models.push_back(openai_json(model, context));
  }
  if (resident)
    models.push_back(resident_json(snapshot, context));
  return dump(list_json(std::move(models)));
}

std::string openai_model_json(const Snapshot& snapshot, ModelId model, const ApiContext& context) {
  const ModelSnapshot* found = find_model(snapshot, model);
  return dump(found == nullptr ? OrderedJson() : openai_json(*found, context));
}

std::string openai_resident_json(const Snapshot& snapshot, const ApiContext& context) {
  return dump(resident_json(snapshot, context));
}

std::optional<ModelId> resident_model(const Snapshot& snapshot) {
  const ModelSnapshot* best = nullptr;
  const auto idle = [](const ModelSnapshot& model) {
    if (model.leases > 0)
      return Duration{0};
    return model.idle_for.value_or(Duration::max());  // ready, but never used
  };
  for (const ModelSnapshot& model : snapshot.models) {
    if (model.state != ResidencyState::ready || model.type != ModelType::llm)
      continue;
    if (best == nullptr || idle(model) < idle(*best))
      best = &model;
  }
  return best == nullptr ? std::nullopt : std::optional(best->model);
}

HealthAnswer health(const Snapshot& snapshot, bool scheduler_moves,
                    std::span<const HealthProblem> more) {
  std::vector<HealthProblem> problems;
  if (!scheduler_moves)
    problems.push_back({"scheduler_stalled", "the scheduler missed its own deadline"});
  problems.insert(problems.end(), snapshot.problems.begin(), snapshot.problems.end());
  problems.insert(problems.end(), more.begin(), more.end());
  if (problems.empty())
    return {200, R"({"status":"ok"})"};
  return {scheduler_moves ? 200 : 503,
          dump({{"status", "degraded"}, {"problems", problems_json(problems)}})};
}

std::string decision_json(const LoggedDecision& entry, const ApiContext& context) {
  return dump(decision_value(entry, context));
}

std::string decision_fields_json(const LoggedDecision& entry, const ApiContext& context) {
  OrderedJson fields = OrderedJson::object();
  const OrderedJson row = decision_value(entry, context);
  for (const auto& [name, value] : row.items()) {
    const bool empty = value.is_null() || value == "" || (value.is_structured() && value.empty());
    // A duration of zero was not waited; bytes of zero say something where something was needed.
    const bool zero = value == 0 && (name.ends_with("_ms") || entry.decision.need == Bytes{});
    if (name != "explain" && name != "time_ms" && !empty && !zero)
      fields[name] = value;
  }
  return dump(fields);
}

std::string decisions_json(std::span<const LoggedDecision* const> entries, const DecisionLog& log,
                           const ApiContext& context) {
  OrderedJson rows = OrderedJson::array();
  for (const LoggedDecision* entry : entries)
    rows.push_back(decision_value(*entry, context));
  OrderedJson list = list_json(std::move(rows));
  list["first_seq"] = log.first_seq();
  list["last_seq"] = log.last_seq();
  return dump(list);
}

std::string decision_event(const LoggedDecision& entry, const ApiContext& context) {
  // dump() writes no raw newline, so the data is one line.
  return "id: " + run_name(context.clock) + "-" + std::to_string(entry.seq) +
         "\nevent: " + std::string(tonnage::to_text(entry.decision.kind)) +
         "\ndata: " + decision_json(entry, context) + "\n\n";
}

std::string story_json(RequestId request, std::span<const StoryRow> rows,
                       const ApiContext& context) {
  OrderedJson data = OrderedJson::array();
  for (const StoryRow& row : rows)
    data.push_back({{"time_ms", context.clock.unix_ms(row.at)}, {"explain", row.text}});
  OrderedJson list = list_json(std::move(data));
  list["request"] = request.value;
  return dump(list);
}

std::string reload_json(const ReloadResult& result) {
  OrderedJson reply;
  reply["changed"] = result.changed;
  reply["added"] = result.added;
  reply["removed"] = result.removed;
  reply["after_restart"] = result.later;
  reply["warnings"] = result.warnings;
  return dump(reply);
}

std::uint64_t resume_after(std::string_view last_event_id, const WallClock& clock) {
  const std::size_t dash = last_event_id.find('-');
  if (dash != std::string_view::npos) {
    if (last_event_id.substr(0, dash) != run_name(clock))
      return 0;
    last_event_id.remove_prefix(dash + 1);
  }
  std::uint64_t seq = 0;
  const char* const end = last_event_id.data() + last_event_id.size();
  const auto [read, error] = std::from_chars(last_event_id.data(), end, seq);
  return error == std::errc{} && read == end ? seq : 0;
}

std::string command_json(const CommandResult& result, const Snapshot& before, const Snapshot& after,
                         const ApiContext& context) {
  OrderedJson reply;
  reply["ok"] = result.ok;
  reply["command"] = result.command;
  reply["model"] = model_name(result.model, context.policy);
  reply["text"] = result.text;
  reply["moved"] = moved_json(before, after);
  reply["before"] = {{"pools", pools_json(before)},
                     {"model", model_or_null(before, result.model, context)}};
  reply["after"] = {{"pools", pools_json(after)},
                    {"model", model_or_null(after, result.model, context)}};
  return dump(reply);
}

}  // namespace tonnage::api
