#include "config/pressure_reader.h"

#include <algorithm>
#include <array>
#include <utility>

namespace tonnage {
namespace {

using Kind = PressureStepKind;

constexpr std::array kKinds = {Kind::notify,      Kind::trim,         Kind::trim_hard,
                               Kind::reset_peaks, Kind::park_idle,    Kind::unload_idle,
                               Kind::relieve,     Kind::park_busy,    Kind::stop_admission,
                               Kind::derate,      Kind::prefer_small, Kind::fallback};

constexpr std::string_view kActionForm =
    "an action such as notify, {park_idle: 30s} or {derate: 5%}";

std::string unknown_action(const std::string& name) {
  if (name == "restore") {
    return "'restore' is not an action; models come back below 'pressure: {restore_below: 60%}'";
  }
  const std::vector<std::string> names = pressure_action_names();
  std::string hint = did_you_mean(name, names);
  if (hint.empty()) {
    for (const std::string& known : names)
      hint += (hint.empty() ? "; known are " : ", ") + known;
  }
  return in_quotes(name) + " is not an action" + hint;
}

// The number behind an action's name into `step`; a sentence when it is none.
std::string read_number(const std::string& text, PressureStep& step) {
  const std::string action{to_text(step.kind)};
  switch (action_number(step.kind)) {
    case ActionNumber::none:
      return "'" + action + "' takes no value; write it alone";
    case ActionNumber::share: {
      const auto share = parse_percent(text);
      if (!share || *share == 0 || *share == 1000) {
        return in_quotes(text) + " is not a share of memory; write {" + action + ": 5%}";
      }
      step.permille = *share;
      return {};
    }
    case ActionNumber::idle_time:
    case ActionNumber::wait: {
      const auto time = parse_duration(text);
      if (!time || *time < Duration{0} || *time > Duration{24h}) {
        return in_quotes(text) + " is not a time of at most a day; write {" + action + ": 30s}";
      }
      step.after = *time;
      return {};
    }
  }
  return {};
}

PressureLevel& fill(PressureLevel& level, const LevelDraft& draft) {
  level.name = draft.name.value_or(level.name);
  level.basis = draft.basis.value_or(level.basis);
  level.dwell = draft.dwell.value_or(level.dwell);
  if (draft.above_permille) {
    level.above_permille = *draft.above_permille;
    level.below_permille = std::max<std::int64_t>(0, level.above_permille - kLevelGapPermille);
  }
  level.below_permille = draft.below_permille.value_or(level.below_permille);
  if (draft.stall_some_permille)
    level.stall_some_permille = draft.stall_some_permille;
  if (draft.stall_full_permille)
    level.stall_full_permille = draft.stall_full_permille;
  if (draft.pools) {
    level.host = std::ranges::find(*draft.pools, "host") != draft.pools->end();
    level.devices = std::ranges::find(*draft.pools, "gpu") != draft.pools->end();
  }
  if (draft.steps)
    level.steps = *draft.steps;
  return level;
}

bool has_step(const PressurePolicy& policy, PressureStepKind kind) {
  return std::ranges::any_of(policy.levels, [&](const PressureLevel& level) {
    return std::ranges::find(level.steps, kind, &PressureStep::kind) != level.steps.end();
  });
}

std::string percent_text(std::int64_t permille) {
  const std::string tenths = permille % 10 == 0 ? "" : "." + std::to_string(permille % 10);
  return std::to_string(permille / 10) + tenths + "%";
}

}  // namespace

std::vector<std::string> pressure_action_names() {
  std::vector<std::string> names;
  for (const PressureStepKind kind : kKinds)
    names.emplace_back(to_text(kind));
  return names;
}

std::optional<PressureStepKind> pressure_action(std::string_view name) {
  for (const PressureStepKind kind : kKinds) {
    if (to_text(kind) == name)
      return kind;
  }
  // The word of the time that it takes, as people write it.
  if (name == "park_busy_after")
    return Kind::park_busy;
  return std::nullopt;
}

ActionNumber action_number(PressureStepKind kind) {
  switch (kind) {
    case Kind::park_idle:
    case Kind::unload_idle:
      return ActionNumber::idle_time;
    case Kind::park_busy:
      return ActionNumber::wait;
    case Kind::derate:
      return ActionNumber::share;
    default:
      return ActionNumber::none;
  }
}

void unload_instead_of_parking(PressurePolicy& policy) {
  for (PressureLevel& level : policy.levels) {
    for (PressureStep& step : level.steps) {
      if (step.kind == Kind::park_idle)
        step.kind = Kind::unload_idle;
    }
  }
}

void PressureReader::problem(const LevelDraft& draft, const char* key, const std::string& text) {
  const std::string path = draft.place + "." + key;
  Origin where = reader_.sources().origin_of(path);
  if (where.name.empty())
    where = draft.where;
  reader_.problems().add(where, path + ": " + text);
}

void PressureReader::read_levels(const NestedNode& list) {
  Problems& problems = reader_.problems();
  const bool whole = list.spec->type == ValueType::pressure;
  const std::string path = whole ? "pressure" : "pressure.levels";
  if (list.node->kind != Node::Kind::list) {
    problems.add(list.origin,
                 path + ": " + describe(*list.node) + " is given, but a list of levels is wanted");
    return;
  }
  if (list.node->items.empty() || list.node->items.size() > kPressureLevelsMax) {
    problems.add(list.origin, path + ": " + std::to_string(list.node->items.size()) +
                                  " levels are given, but 1 to " +
                                  std::to_string(kPressureLevelsMax) + " are wanted");
    return;
  }
  for (const Node& item : list.node->items) {
    LevelDraft draft;
    draft.place = path + "[" + std::to_string(draft_.levels.size() + 1) + "]";
    draft.where = reader_.origin(item, *list.node);
    if (item.kind != Node::Kind::map) {
      problems.add(draft.where, draft.place + ": " + describe(item) +
                                    " is given, but a map such as {name: high, above: 80%, "
                                    "actions: [notify]} is wanted");
      continue;
    }
    KeyTarget target{.level = &draft};
    for (const NestedNode& node : reader_.read(item, {KeyScope::level, "", draft.place}, target))
      read_actions(node, draft);
    draft_.levels.push_back(std::move(draft));
  }
}

void PressureReader::read_actions(const NestedNode& list, LevelDraft& draft) {
  const std::string path = draft.place + ".actions";
  if (list.node->kind != Node::Kind::list) {
    reader_.problems().add(list.origin, path + ": " + describe(*list.node) + " is given, but " +
                                            wanted(*list.spec) + " is wanted");
    return;
  }
  if (list.node->items.size() > kPressureActionsMax) {
    reader_.problems().add(list.origin,
                           path + ": more than " + std::to_string(kPressureActionsMax));
    return;
  }
  draft.steps.emplace();
  for (const Node& item : list.node->items) {
    const std::string name = path + "[" + std::to_string(draft.steps->size() + 1) + "]";
    const auto step = read_action(item, name, reader_.origin(item, *list.node));
    draft.steps->push_back(step.value_or(PressureStep{}));
  }
}

std::optional<PressureStep> PressureReader::read_action(const Node& item, const std::string& name,
                                                        const Origin& where) {
  const auto wrong = [&](const std::string& text) {
    reader_.problems().add(where, name + ": " + text);
    return std::nullopt;
  };
  const bool valued = item.kind == Node::Kind::map && item.entries.size() == 1 &&
                      item.entries[0].key.kind == Node::Kind::scalar &&
                      item.entries[0].value.kind == Node::Kind::scalar;
  if (item.kind != Node::Kind::scalar && !valued) {
    return wrong(describe(item) + " is given, but " + std::string(kActionForm) + " is wanted");
  }
  const std::string& action = valued ? item.entries[0].key.text : item.text;
  const auto kind = pressure_action(action);
  if (!kind)
    return wrong(unknown_action(action));
  PressureStep step{.kind = *kind};
  if (valued) {
    if (const std::string bad = read_number(item.entries[0].value.text, step); !bad.empty())
      return wrong(bad);
  } else if (const ActionNumber number = action_number(*kind);
             number == ActionNumber::wait || number == ActionNumber::share) {
    return wrong("'" + action + "' needs a value; write {" + action +
                 (number == ActionNumber::wait ? ": 30s}" : ": 5%}"));
  }
  return step;
}

void PressureReader::override_preset(PressurePolicy& policy) {
  std::vector<std::string> names;
  for (const PressureLevel& level : policy.levels)
    names.push_back(level.name);
  for (const LevelDraft& draft : draft_.levels) {
    if (!draft.name) {
      problem(draft, "name", "it is missing; name the level of " + policy.preset + " to change");
      continue;
    }
    const auto level = std::ranges::find(policy.levels, *draft.name, &PressureLevel::name);
    if (level == policy.levels.end()) {
      const std::string hint = did_you_mean(*draft.name, names);
      problem(draft, "name",
              "the preset " + policy.preset + " has no level " + in_quotes(*draft.name) +
                  (hint.empty() ? "; leave 'preset' out to define all levels" : hint));
      continue;
    }
    check_level(fill(*level, draft), draft);
  }
}

void PressureReader::define_levels(PressurePolicy& policy) {
  policy = {.preset = "custom"};
  for (const LevelDraft& draft : draft_.levels) {
    PressureLevel level;
    level.dwell = 15s;
    fill(level, draft);
    if (level.name.empty())
      problem(draft, "name", "it is missing; add 'name: high'");
    if (level.name == "normal")
      problem(draft, "name", "'normal' is the state below every level; choose another");
    if (std::ranges::find(policy.levels, level.name, &PressureLevel::name) != policy.levels.end())
      problem(draft, "name", "another level has the name " + in_quotes(level.name));
    if (!draft.above_permille && !level.stall_some_permille && !level.stall_full_permille)
      problem(draft, "above", "it is missing; add 'above: 80%', or 'psi' for kernel stalls");
    if (level.steps.empty())
      problem(draft, "actions", "they are missing; add 'actions: [notify]'");
    check_level(level, draft);
    policy.levels.push_back(std::move(level));
  }
}

void PressureReader::check_level(const PressureLevel& level, const LevelDraft& draft) {
  if (level.below_permille > level.above_permille) {
    problem(draft, draft.below_permille ? "below" : "above",
            "the level would be left below " + percent_text(level.below_permille) +
                " and entered above " + percent_text(level.above_permille) +
                "; 'below' must not be more than 'above'");
  }
  if (!level.host && (draft.stall_some_permille || draft.stall_full_permille)) {
    problem(draft, "psi", "kernel stalls are about host memory; add host to 'pools'");
  }
  if (!level.host && !level.devices)
    problem(draft, "pools", "the list is empty; name host, gpu or both");
}

// A level that others outrank at a smaller use would never be seen.
void PressureReader::check_order(const PressurePolicy& policy) {
  for (std::size_t i = 1; i < policy.levels.size(); ++i) {
    const PressureLevel& high = policy.levels[i];
    for (std::size_t j = 0; j < i; ++j) {
      const PressureLevel& low = policy.levels[j];
      const bool together = (low.host && high.host) || (low.devices && high.devices);
      if (!together || low.basis != high.basis || low.above_permille < high.above_permille)
        continue;
      // Only kernel stalls: the watermark of 100% is never exceeded.
      if (low.above_permille == 1000 && high.above_permille == 1000)
        continue;
      const auto written = std::ranges::find_if(
          draft_.levels, [&](const LevelDraft& d) { return d.name == high.name; });
      const auto other = std::ranges::find_if(
          draft_.levels, [&](const LevelDraft& d) { return d.name == low.name; });
      problem(written != draft_.levels.end() ? *written : *other, "above",
              "levels ascend, but " + in_quotes(high.name) + " begins at " +
                  percent_text(high.above_permille) + " and " + in_quotes(low.name) +
                  " before it at " + percent_text(low.above_permille));
      return;
    }
  }
}

// The first level that parks idle models takes the time; a more severe one is no more patient.
void PressureReader::park_sooner(PressurePolicy& policy) {
  if (!draft_.park_idle_after)
    return;
  bool first = true;
  for (PressureLevel& level : policy.levels) {
    for (PressureStep& step : level.steps) {
      if (step.kind != Kind::park_idle || step.after == Duration{0})
        continue;
      step.after = first ? *draft_.park_idle_after : std::min(step.after, *draft_.park_idle_after);
      first = false;
    }
  }
  if (first) {
    warnings_.push_back("pressure.park_idle_after changes nothing: no level of '" + policy.preset +
                        "' parks models that are idle for a time; 'pressure: balanced' does");
  }
}

void PressureReader::name_fallback(const std::map<std::string, std::size_t, std::less<>>& names,
                                   Config& config) {
  PressurePolicy& policy = config.policy.pressure;
  if (draft_.fallback.empty()) {
    if (policy.preset == "custom" && has_step(policy, Kind::fallback)) {
      warnings_.emplace_back(
          "a pressure level asks for the fallback model, but there is none; add 'pressure: "
          "{fallback: MODEL}'");
    }
    return;
  }
  const auto found = names.find(draft_.fallback);
  if (found != names.end()) {
    policy.fallback = ModelId(static_cast<std::uint32_t>(found->second));
    return;
  }
  std::vector<std::string> known;
  for (const auto& [name, index] : names)
    known.push_back(name);
  reader_.problems().add(reader_.sources().origin_of("pressure.fallback"),
                         "pressure.fallback: there is no model " + in_quotes(draft_.fallback) +
                             did_you_mean(draft_.fallback, known));
}

void PressureReader::finish(const std::map<std::string, std::size_t, std::less<>>& names,
                            Config& config) {
  const bool preset_named = reader_.sources().origin_of("pressure").name != "default";
  PressurePolicy& policy = config.policy.pressure;
  policy = pressure_preset(draft_.preset).value_or(PressurePolicy{});
  // What could not be read would be missed here as well.
  if (!reader_.problems().empty())
    return;
  if (preset_named) {
    override_preset(policy);
  } else if (!draft_.levels.empty()) {
    define_levels(policy);
    std::string shown;
    for (const LevelDraft& draft : draft_.levels)
      shown += (shown.empty() ? "" : ", ") + draft.name.value_or("?");
    reader_.sources().record("pressure", "[" + shown + "]", draft_.levels.front().where);
  }
  check_order(policy);
  if (draft_.restore_below_permille)
    policy.restore_below_permille = *draft_.restore_below_permille;
  park_sooner(policy);
  if (!config.park)
    unload_instead_of_parking(policy);
  name_fallback(names, config);
  config.warnings.insert(config.warnings.end(), warnings_.begin(), warnings_.end());
}

}  // namespace tonnage
