#include "api/founding_shapes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>

#include "api/snapshot_json.h"

namespace tonnage::api {
namespace {

std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return out;
}

std::int64_t mb(Bytes bytes) {
  return bytes.count / kMiB;
}

double rounded(double value) {
  return std::round(value * 10) / 10;
}

double gb(Bytes bytes) {
  return rounded(static_cast<double>(bytes.count) / static_cast<double>(kGiB));
}

double exact_mb(Bytes bytes) {
  return rounded(static_cast<double>(bytes.count) / static_cast<double>(kMiB));
}

double share(Bytes part, Bytes whole) {
  return whole > Bytes{} ? static_cast<double>(part.count) / static_cast<double>(whole.count) : 0.0;
}

double percent(Bytes part, Bytes whole) {
  return rounded(100 * share(part, whole));
}

Bytes free_of(const PoolSnapshot& pool) {
  return std::max(Bytes{}, pool.capacity - pool.used);
}

// Where GPU and host are one memory it is both.
bool is_device(const PoolSnapshot& pool) {
  return pool.pool != kHostPool || pool.unified;
}

bool is_running(const ModelSnapshot& model) {
  return model.generation.has_value();
}

// Everything that is charged for it, mapped weights at full size.
Bytes held_by(const ModelSnapshot& model) {
  if (!is_running(model))
    return {};
  Bytes sum = model.measured.value_or(model.reserved) + model.weights;
  for (std::size_t i = 0; i < model.device_reserved.size(); ++i) {
    sum += i < model.device_measured.size() ? model.device_measured[i] : model.device_reserved[i];
  }
  return sum;
}

Bytes on_devices(const ModelSnapshot& model) {
  Bytes sum;
  for (const Bytes amount : model.device_predicted)
    sum += amount;
  return sum;
}

std::string iso_time(std::int64_t unix_ms) {
  const std::time_t seconds = unix_ms / 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const auto size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text.data(), size};
}

double unix_s(Tick tick, const ApiContext& context) {
  return static_cast<double>(context.clock.unix_ms(tick)) / 1000;
}

// 0 below every level, else 1 and up in the order of the policy.
std::size_t rank_of(const std::string& level, const PressurePolicy& policy) {
  const auto found = std::ranges::find(policy.levels, level, &PressureLevel::name);
  return found == policy.levels.end() ? 0
                                      : static_cast<std::size_t>(found - policy.levels.begin()) + 1;
}

std::size_t highest_rank(const Snapshot& snapshot, const PressurePolicy& policy) {
  std::size_t highest = 0;
  for (const PoolSnapshot& pool : snapshot.pools)
    highest = std::max(highest, rank_of(pool.level, policy));
  return highest;
}

struct Totals {
  Bytes capacity, used, free, budget, ours, reserved;
  bool any = false;
};

Totals device_totals(const Snapshot& snapshot) {
  Totals sum;
  for (const PoolSnapshot& pool : snapshot.pools) {
    if (!is_device(pool) || pool.lost)
      continue;
    sum.any = true;
    sum.capacity += pool.capacity;
    sum.used += pool.used;
    sum.free += free_of(pool);
    sum.budget += pool.budget;
    sum.ours += pool.ours;
    sum.reserved += pool.reserved;
  }
  return sum;
}

const char* location_of(const ModelSnapshot& model, bool unified) {
  if (!is_running(model))
    return "unloaded";
  return model.tier == Tier::gpu || unified ? "gpu" : "cpu";
}

const PoolSnapshot& host_of(const Snapshot& snapshot) {
  static const PoolSnapshot kNone;
  return snapshot.pools.empty() ? kNone : snapshot.pools.front();
}

double used_percent(const Snapshot& snapshot) {
  const Totals devices = device_totals(snapshot);
  const PoolSnapshot& host = host_of(snapshot);
  return devices.any ? percent(devices.used, devices.capacity) : percent(host.used, host.capacity);
}

// When a model that nobody uses is unloaded; empty: never, or not by time.
std::optional<Tick> expiry_of(const ModelSnapshot& model, const Snapshot& snapshot,
                              const Policy& policy) {
  if (model.model.value >= policy.models.size() || model.pinned)
    return std::nullopt;
  const auto ttl = policy.models[model.model.value].ttl;
  return ttl ? std::optional(snapshot.at - model.idle_for.value_or(Duration{}) + *ttl)
             : std::nullopt;
}

// In use first, then the most recently used, of any type.
const ModelSnapshot* active_model(const Snapshot& snapshot) {
  const ModelSnapshot* best = nullptr;
  const auto idle = [](const ModelSnapshot& model) {
    return model.leases > 0 ? Duration{} : model.idle_for.value_or(Duration::max());
  };
  for (const ModelSnapshot& model : snapshot.models) {
    if (is_running(model) && (best == nullptr || idle(model) < idle(*best)))
      best = &model;
  }
  return best;
}

}  // namespace

std::string quantization_of(std::string_view file) {
  constexpr auto kKinds = std::to_array<std::string_view>(
      {"Q1", "Q2", "Q3", "Q4", "Q5", "Q6", "Q8", "IQ", "TQ", "MXFP4", "F16", "BF16", "F32"});
  if (file.ends_with(".gguf"))
    file.remove_suffix(5);
  const std::size_t cut = file.find_last_of("-.");
  if (cut == std::string_view::npos)
    return {};
  std::string word = upper(file.substr(cut + 1));
  const bool known = std::ranges::any_of(
      kKinds, [&](std::string_view kind) { return std::string_view(word).starts_with(kind); });
  return known ? word : std::string();
}

std::string pressure_word(const Snapshot& snapshot, const Policy& policy) {
  const std::size_t highest = highest_rank(snapshot, policy.pressure);
  if (highest == 0)
    return policy.pressure.preset == "guard" ? "NORMAL" : "LOW";
  return upper(policy.pressure.levels[highest - 1].name);
}

std::string memory_stats_json(const Snapshot& snapshot, const ApiContext& context) {
  const Totals gpu = device_totals(snapshot);
  const PoolSnapshot& host = host_of(snapshot);
  std::uint64_t evictions = 0, failures = 0, running = 0, on_gpu = 0;
  for (const ModelSnapshot& model : snapshot.models) {
    evictions += model.evictions;
    failures += static_cast<std::uint64_t>(model.device_failures);
    running += is_running(model) ? 1U : 0U;
    on_gpu += is_running(model) && model.tier == Tier::gpu ? 1U : 0U;
  }
  OrderedJson stats;
  stats["cuda_available"] = gpu.any;
  stats["total_mb"] = mb(gpu.capacity);
  stats["free_mb"] = mb(gpu.free);
  stats["used_mb"] = mb(gpu.used);
  stats["used_percent"] = percent(gpu.used, gpu.capacity);
  stats["usage_percent"] = share(gpu.used, gpu.capacity);
  stats["allocated_mb"] = mb(gpu.ours);
  stats["reserved_mb"] = mb(gpu.reserved);
  stats["budget_total_mb"] = mb(gpu.capacity);
  stats["budget_usable_mb"] = mb(gpu.budget);
  stats["cpu_budget_total_mb"] = mb(host.capacity);
  stats["cpu_budget_usable_mb"] = mb(host.budget);
  stats["cpu_used_mb"] = mb(host.reserved);
  stats["models_loaded"] = running;
  stats["models_on_gpu"] = on_gpu;
  stats["models_offloaded"] = 0;
  stats["pressure_level"] = pressure_word(snapshot, context.policy);
  stats["total_evictions"] = evictions;
  stats["total_offloads"] = 0;
  stats["total_restorations"] = 0;
  stats["total_unloads"] = evictions;
  stats["cuda_errors"] = failures;
  stats["cuda_errors_max"] = context.policy.recovery.device_failures_max;
  stats["preset"] = snapshot.preset;
  stats["pools"] = pools_json(snapshot);
  return dump(stats);
}

std::string loaded_models_json(const Snapshot& snapshot, const ApiContext& context) {
  OrderedJson rows = OrderedJson::array();
  for (const ModelSnapshot& model : snapshot.models) {
    if (!is_running(model))
      continue;
    const double idle = std::chrono::duration<double>(model.idle_for.value_or(Duration{})).count();
    rows.push_back({{"model_name", model.id},
                    {"model_type", tonnage::to_text(model.type)},
                    {"quantization", face_of(model.model, context).quantization},
                    {"location", location_of(model, host_of(snapshot).unified)},
                    {"memory_mb", mb(held_by(model))},
                    {"idle_seconds", rounded(idle)},
                    {"last_used", unix_s(snapshot.at, context) - idle},
                    {"use_count", model.uses}});
  }
  return dump(rows);
}

std::string eviction_history_json(std::span<const LoggedDecision* const> entries,
                                  const Snapshot& snapshot, const ApiContext& context) {
  OrderedJson rows = OrderedJson::array();
  for (const LoggedDecision* entry : entries) {
    const Decision& decision = entry->decision;
    const ModelSnapshot* model = decision.model ? find_model(snapshot, *decision.model) : nullptr;
    const Bytes held = model == nullptr ? Bytes{} : model->predicted + on_devices(*model);
    rows.push_back({{"model_name", model_name(decision.model, context.policy)},
                    {"model_type",
                     model == nullptr ? OrderedJson() : OrderedJson(tonnage::to_text(model->type))},
                    {"quantization", decision.model ? face_of(*decision.model, context).quantization
                                                    : std::string()},
                    {"reason", tonnage::to_text(decision.reason)},
                    {"action", "unloaded"},
                    {"memory_freed_mb", mb(held)},
                    {"timestamp", unix_s(decision.at, context)},
                    {"explain", explain(decision, context.policy)}});
  }
  return dump(rows);
}

std::string memory_health_json(const Snapshot& snapshot, const ApiContext& context) {
  const PressurePolicy& policy = context.policy.pressure;
  const std::size_t highest = highest_rank(snapshot, policy);
  const bool critical = highest > 0 && highest == policy.levels.size();
  const bool healthy = snapshot.problems.empty() && !critical;
  std::string message = "memory use is normal";
  if (!snapshot.problems.empty()) {
    message = snapshot.problems.front().text;
  } else if (critical) {
    message = "memory pressure is at its highest level, " + policy.levels[highest - 1].name;
  } else if (highest > 0) {
    message = "memory pressure is " + policy.levels[highest - 1].name;
  }
  return dump({{"healthy", healthy},
               {"mode", device_totals(snapshot).any ? "gpu" : "cpu"},
               {"pressure", pressure_word(snapshot, context.policy)},
               {"used_percent", used_percent(snapshot)},
               {"message", message},
               {"problems", problems_json(snapshot.problems)}});
}

std::string system_memory_json(const Snapshot& snapshot, const ApiContext& context) {
  const PoolSnapshot& host = host_of(snapshot);
  OrderedJson gpus = OrderedJson::array();
  Bytes free;
  for (const PoolSnapshot& pool : snapshot.pools) {
    if (!is_device(pool))
      continue;
    if (!pool.lost)
      free += free_of(pool);
    gpus.push_back({{"index", gpus.size()},
                    {"name", pool.name},
                    {"total_mb", exact_mb(pool.capacity)},
                    {"used_mb", exact_mb(pool.used)},
                    {"free_mb", pool.lost ? 0.0 : exact_mb(free_of(pool))},
                    {"unified", pool.unified},
                    {"lost", pool.lost}});
  }
  OrderedJson models = OrderedJson::object();
  OrderedJson heavy_slot;
  for (const ModelSnapshot& model : snapshot.models) {
    if (!is_running(model))
      continue;
    const std::size_t index = model.model.value;
    const bool heavy = index < context.policy.models.size() && context.policy.models[index].heavy;
    if (heavy && heavy_slot.is_null())
      heavy_slot = model.id;
    const Placement placement = model.placement.value_or(Placement{});
    models[model.id] = {{"path", face_of(model.model, context).file},
                        {"n_ctx", placement.context},
                        {"n_gpu_layers", placement.gpu_layers},
                        {"is_heavy", heavy},
                        {"estimated_vram_mb", exact_mb(on_devices(model))},
                        {"held_mb", exact_mb(held_by(model))},
                        {"state", tonnage::to_text(model.state)}};
  }
  OrderedJson answer;
  answer["ram_total_mb"] = exact_mb(host.capacity);
  answer["ram_available_mb"] = exact_mb(free_of(host));
  answer["ram_used_mb"] = exact_mb(host.used);
  answer["gpus"] = std::move(gpus);
  answer["total_vram_free_mb"] = exact_mb(free);
  answer["timestamp"] = unix_s(snapshot.at, context);
  answer["loaded_models"] = std::move(models);
  answer["heavy_slot"] = std::move(heavy_slot);
  answer["pressure"] = pressure_word(snapshot, context.policy);
  return dump(answer);
}

void add_router_view(OrderedJson& status, const Snapshot& snapshot, const ApiContext& context,
                     std::optional<Tick> last_unload) {
  const PoolSnapshot& host = host_of(snapshot);
  status["system"] = {{"total_gb", gb(host.capacity)},
                      {"available_gb", gb(free_of(host))},
                      {"pressure_percent", percent(host.used, host.capacity)}};
  OrderedJson loaded = OrderedJson::array();
  Bytes total;
  for (const ModelSnapshot& model : snapshot.models) {
    if (!is_running(model))
      continue;
    total += held_by(model);
    const auto expiry = expiry_of(model, snapshot, context.policy);
    loaded.push_back({{"name", model.id},
                      {"size_gb", gb(held_by(model))},
                      {"expires_at", expiry ? OrderedJson(iso_time(context.clock.unix_ms(*expiry)))
                                            : OrderedJson()}});
  }
  status["ollama"] = {{"loaded_models", std::move(loaded)}, {"total_loaded_gb", gb(total)}};
  const ModelSnapshot* active = active_model(snapshot);
  status["router"] = {
      {"active_member", active == nullptr ? OrderedJson() : OrderedJson(active->id)},
      {"last_unload",
       last_unload ? OrderedJson(iso_time(context.clock.unix_ms(*last_unload))) : OrderedJson()}};
}

}  // namespace tonnage::api
