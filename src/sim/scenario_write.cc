// Writing what scenario_policy.cc and scenario.cc read: settings and events as lines.
#include <map>
#include <utility>

#include "sim/scenario_policy.h"

namespace tonnage::sim {
namespace {

std::string exact(Bytes bytes) {
  const std::int64_t n = bytes.count;
  for (const auto& [size, unit] : {std::pair{kGiB, "GiB"}, {kMiB, "MiB"}, {kKiB, "KiB"}}) {
    if (n != 0 && n % size == 0)
      return std::to_string(n / size) + unit;
  }
  return std::to_string(n) + "B";
}
// A duration's text is exact as it is.
std::string exact(Duration duration) {
  return tonnage::to_text(duration);
}
std::string exact(std::int64_t number) {
  return std::to_string(number);
}
std::string exact(std::int32_t number) {
  return std::to_string(number);
}
std::string exact(EvictionKind kind) {
  return kind == EvictionKind::lru ? "lru" : "value";
}
// A rule that is true or false is named or not.
std::string exact(bool set) {
  return set ? "" : "no";
}
template <typename T>
std::string exact(const std::optional<T>& value) {
  return value ? exact(*value) : "no";
}

std::string exact(const std::vector<Bytes>& amounts) {
  std::string text;
  for (const Bytes bytes : amounts)
    text += (text.empty() ? "" : ",") + exact(bytes);
  return text.empty() ? "no" : text;
}

// Adds " name value" where the value is not the usual one.
class Line {
 public:
  explicit Line(std::string begin) : text_(std::move(begin)) {}

  template <typename T>
  Line& word(std::string_view name, const T& value, const T& usual) {
    if (value != usual)
      text_ += " " + std::string(name) + " " + exact(value);
    return *this;
  }
  Line& flag(std::string_view name, bool set) {
    if (set)
      text_ += " " + std::string(name);
    return *this;
  }
  std::string take() { return std::move(text_) + "\n"; }

 private:
  std::string text_;
};

std::int64_t number(FileId file) {
  return static_cast<std::int64_t>(file.value);
}

void write_row(Line& line, const PlacementRow& row, const PlacementRow& usual) {
  line.word("weights", row.weights[0].size, usual.weights[0].size)
      .word("draft", row.weights[1].size, usual.weights[1].size)
      .word("anon", row.host_anon, usual.host_anon)
      .word("context", row.placement.context, usual.placement.context)
      .word("slots", row.placement.slots, usual.placement.slots)
      .word("layers", row.placement.gpu_layers, usual.placement.gpu_layers)
      .word("gpu", row.device_bytes, usual.device_bytes)
      .word("speed", row.speed_permille, usual.speed_permille)
      .word("file", number(row.weights[0].file), number(usual.weights[0].file));
  if (row.weights[1].size > Bytes(0))
    line.word("draft_file", number(row.weights[1].file), number(usual.weights[1].file));
  if (row.placement.kv != usual.placement.kv)
    line.flag("kv " + std::string(to_text(row.placement.kv)), true);
  if (row.source != usual.source)
    line.flag(to_text(row.source), true);
}

std::string write_model(const ScenarioSetting& setting, std::size_t index) {
  const ModelPolicy& model = setting.policy.models[index];
  const std::vector<PlacementRow>& rows = setting.rows[index];
  PlacementRow usual;
  usual.weights[0].file = FileId(1000 + index);
  usual.weights[1].file = FileId(2000 + index);
  usual.placement = {.context = 4096, .slots = 1};
  usual.source = FootprintSource::declared;
  Line line("model " + model.id);
  write_row(line, rows.front(), usual);
  line.word("in_flight", model.in_flight_max, rows.front().placement.slots)
      .word("ttl", model.ttl, std::optional<Duration>())
      .flag("pinned", model.pinned)
      .flag("heavy", model.heavy)
      .flag("host_only", model.host_only)
      .flag("embedding", model.type != ModelType::llm);
  if (model.priority != Priority::normal)
    line.flag("priority " + std::string(to_text(model.priority)), true);
  std::string text = line.take();
  for (std::size_t i = 1; i < rows.size(); ++i) {
    Line more("row " + model.id);
    write_row(more, rows[i], rows[i - 1]);
    text += more.take();
  }
  return text;
}

std::map<std::string_view, std::string> rules_of(ScenarioSetting setting) {
  std::map<std::string_view, std::string> rules;
  visit_rules(setting, [&](std::string_view name, auto& field) { rules[name] = exact(field); });
  return rules;
}

// ", set yield_after 10s" for each rule that differs.
std::string changed_rules(const Policy& before, const Policy& after) {
  ScenarioSetting setting;
  setting.policy = before;
  const auto old = rules_of(setting);
  setting.policy = after;
  std::string text;
  for (const auto& [name, value] : rules_of(setting)) {
    if (old.at(name) != value)
      text += ", set " + std::string(name) + (value.empty() ? "" : " " + value);
  }
  return text;
}

std::string changed_model(const ModelPolicy& before, const ModelPolicy& after) {
  const std::string begin = ", model " + after.id + " ";
  const auto flag = [&](std::string_view name, bool was, bool is) {
    return was == is ? std::string() : begin + std::string(name) + (is ? "" : " no");
  };
  std::string text = flag("pinned", before.pinned, after.pinned) +
                     flag("removed", before.removed, after.removed) +
                     flag("heavy", before.heavy, after.heavy);
  if (before.ttl != after.ttl)
    text += begin + "ttl " + exact(after.ttl);
  if (before.in_flight_max != after.in_flight_max)
    text += begin + "in_flight " + exact(after.in_flight_max);
  return text;
}

std::string failure_words(const Failure& failure) {
  return std::string(to_text(failure.kind)) + (failure.text.empty() ? "" : " " + failure.text);
}

struct EventWords {
  const Policy& policy;

  std::string name(ModelId model) const { return policy.models[model.value].id; }
  static std::string r(RequestId id) { return "r" + std::to_string(id.value); }
  static std::string g(Generation id) { return "g" + std::to_string(id.value); }
  static std::string c(CommandId id) { return "command c" + std::to_string(id.value); }

  std::string operator()(const RequestArrived& e) const {
    std::string text =
        "request " + r(e.request) + " for " + (e.model ? name(*e.model) : "resident");
    if (e.priority != Priority::normal)
      text += " priority " + std::string(to_text(e.priority));
    if (e.context_needed > 0)
      text += " context " + std::to_string(e.context_needed);
    if (e.context_wished > 0)
      text += " wishes " + std::to_string(e.context_wished);
    if (e.slots != 1)
      text += " slots " + std::to_string(e.slots);
    return e.counted ? text : text + " uncounted";
  }
  std::string operator()(const RequestEnded& e) const {
    return "end " + r(e.request) + " " + g(e.generation) + " " + std::string(to_text(e.outcome));
  }
  std::string operator()(const ClientGone& e) const { return "gone " + r(e.request); }
  std::string operator()(const ModelProfiled& e) const {
    std::string text = "profiled " + name(e.model);
    if (!e.rows.empty() && e.rows.front().source == FootprintSource::learned) {
      text = "learned " + name(e.model);
      for (const PlacementRow& row : e.rows)
        text += " " + exact(row.host_anon);
    }
    return text;
  }
  std::string operator()(const ProfileFailed& e) const {
    return "unprofiled " + name(e.model) + " " + e.failure.text;
  }
  std::string operator()(const DryRunEnded& e) const { return "dry_run_ended " + name(e.model); }
  std::string operator()(const ServerReady& e) const { return "ready " + g(e.generation); }
  std::string operator()(const ServerExited& e) const {
    return "exit " + g(e.generation) + (e.failure ? " " + failure_words(*e.failure) : "");
  }
  std::string operator()(const ServerUnresponsive& e) const { return "hang " + g(e.generation); }
  std::string operator()(const ServerOutOfMemory& e) const {
    return "short " + g(e.generation) + " " + failure_words(e.failure);
  }
  std::string operator()(const ServerSampled& e) const {
    std::string text = "measured " + g(e.generation) + " " + exact(std::max(Bytes(0), e.host_anon));
    for (std::size_t i = 0; i < e.device_bytes.size() && i + 1 < policy.pools.size(); ++i)
      text += " " + policy.pools[i + 1].name + " " + exact(e.device_bytes[i]);
    return text;
  }
  std::string operator()(const PoolSampled& e) const {
    const std::string begin = e.pool == kHostPool ? "" : policy.pools[e.pool.value].name + " ";
    return begin + "capacity " + exact(e.capacity) + " foreign " + exact(e.foreign) + " used " +
           exact(e.used) + (e.orphaned ? " orphaned " + exact(*e.orphaned) : "") + " expected " +
           exact(e.expected);
  }
  std::string operator()(const PoolLost& e) const {
    return "lost " + policy.pools[e.pool.value].name + " " + e.text;
  }
  std::string operator()(const StallSampled& e) const {
    return "stalls some " + exact(e.some_permille) + " full " + exact(e.full_permille);
  }
  std::string operator()(const ClearModel& e) const {
    return c(e.command) + " clear " + name(e.model);
  }
  std::string operator()(const LoadModel& e) const {
    return c(e.command) + " load " + name(e.model) + (e.may_evict ? "" : " sparing");
  }
  std::string operator()(const UnloadModel& e) const {
    return c(e.command) + " unload " + name(e.model);
  }
  std::string operator()(const PinModel& e) const {
    return c(e.command) + (e.pinned ? " pin " : " unpin ") + name(e.model);
  }
  std::string operator()(const Flush& e) const { return c(e.command) + " flush"; }
  std::string operator()(const Shutdown&) const { return "shutdown"; }
  std::string operator()(const Timer&) const { return "timer"; }
  std::string operator()(const PolicyChanged& e) const {
    std::string text = changed_rules(policy, e.policy);
    const auto limit = [](const Policy& p) { return exact(p.pools[0].limit); };
    if (limit(policy) != limit(e.policy))
      text += ", limit " + limit(e.policy);
    for (std::size_t i = 0; i < policy.models.size(); ++i)
      text += changed_model(policy.models[i], e.policy.models[i]);
    for (const ModelId model : e.changed)
      text += ", changed " + name(model);
    return "reload " + (text.empty() ? "limit " + limit(e.policy) : text.substr(2));
  }
};

}  // namespace

std::string write_setting(const ScenarioSetting& setting) {
  std::string text;
  for (std::size_t i = 0; i < setting.policy.pools.size(); ++i) {
    const PoolPolicy& pool = setting.policy.pools[i];
    const Bytes capacity = i == 0 ? setting.capacity : setting.device_capacity[i - 1];
    text += Line((i == 0 ? "pool" : "device " + pool.name) + " " + exact(capacity))
                .word("reserve", pool.reserve.size, std::optional<Bytes>())
                .word("reserve_permille", pool.reserve.permille, std::optional<std::int64_t>())
                .word("max_permille", pool.max_permille, std::int64_t{1000})
                .word("limit", pool.limit, std::optional<Bytes>())
                .word("tolerance", pool.deficit_tolerance, Bytes(0))
                .take();
  }
  if (pressure_preset(setting.policy.pressure.preset))
    text += "pressure " + setting.policy.pressure.preset + "\n";
  const auto usual = rules_of(default_setting());
  for (const auto& [name, value] : rules_of(setting)) {
    if (usual.at(name) != value)
      text += "set " + std::string(name) + (value.empty() ? "" : " " + value) + "\n";
  }
  for (std::size_t i = 0; i < setting.policy.models.size(); ++i)
    text += write_model(setting, i);
  if (const auto fallback = setting.policy.pressure.fallback)
    text += "pressure fallback " + setting.policy.models[fallback->value].id + "\n";
  return text;
}

std::string write_event(Tick at, const Event& event, const Policy& policy) {
  return "at " + tonnage::to_text(at.time_since_epoch()) + " " +
         std::visit(EventWords{policy}, event) + "\n";
}

}  // namespace tonnage::sim
