// size: the fields of every answer
#include <array>

#include "api/openapi.h"

namespace tonnage::api {
namespace {

// Types: "string", "integer", "number", "boolean", "object"; "Name" another schema; "[T]" a list;
// "T?" may be null. A list of words in `words` says which a string may be.
struct FieldRow {
  std::string_view schema;
  std::string_view field;
  std::string_view type;
  std::string_view words = {};
};

constexpr auto kFields = std::to_array<FieldRow>({
    {"Placement", "gpu_layers", "integer"},
    {"Placement", "context", "integer"},
    {"Placement", "slots", "integer"},
    {"Placement", "kv", "string"},

    {"Pool", "pool", "string"},
    {"Pool", "unified", "boolean"},
    {"Pool", "lost", "boolean"},
    {"Pool", "level", "string?"},
    {"Pool", "level_for_ms", "integer"},
    {"Pool", "capacity_bytes", "integer"},
    {"Pool", "budget_bytes", "integer"},
    {"Pool", "used_bytes", "integer"},
    {"Pool", "ours_bytes", "integer"},
    {"Pool", "foreign_bytes", "integer"},
    {"Pool", "orphaned_bytes", "integer?"},
    {"Pool", "expected_bytes", "integer"},
    {"Pool", "releasing_bytes", "integer"},
    {"Pool", "reserved_bytes", "integer"},
    {"Pool", "reserved_weights_bytes", "integer"},
    {"Pool", "measured_bytes", "integer"},
    {"Pool", "headroom_bytes", "integer"},
    {"Pool", "stall_some_permille", "integer"},
    {"Pool", "stall_full_permille", "integer"},
    {"Pool", "sample_age_ms", "integer?"},

    {"DeviceShare", "pool", "string"},
    {"DeviceShare", "predicted_bytes", "integer"},
    {"DeviceShare", "reserved_bytes", "integer"},
    {"DeviceShare", "measured_bytes", "integer?"},

    {"Model", "id", "string"},
    {"Model", "aliases", "[string]"},
    {"Model", "type", "string", "llm|embedding|reranker|stt|vision|image|other"},
    {"Model", "engine", "string"},
    {"Model", "state", "string", "absent|profiling|loading|ready|draining|stopping|failed"},
    {"Model", "tier", "string", "disk|host|gpu"},
    {"Model", "pinned", "boolean"},
    {"Model", "degraded", "boolean"},
    {"Model", "stalled", "boolean"},
    {"Model", "leases", "integer"},
    {"Model", "waiting", "integer"},
    {"Model", "generation", "integer?"},
    {"Model", "placement", "Placement?"},
    {"Model", "target", "Placement?"},
    {"Model", "predicted_bytes", "integer"},
    {"Model", "weights_bytes", "integer"},
    {"Model", "reserved_bytes", "integer"},
    {"Model", "measured_bytes", "integer?"},
    {"Model", "source", "string?", "analytic|dry_run|learned|declared"},
    {"Model", "uses", "integer"},
    {"Model", "loads", "integer"},
    {"Model", "evictions", "integer"},
    {"Model", "failures", "integer"},
    {"Model", "idle_for_ms", "integer?"},
    {"Model", "load_time_ms", "integer?"},
    {"Model", "loading_for_ms", "integer?"},
    {"Model", "retry_in_ms", "integer?"},
    {"Model", "failure", "string?"},
    {"Model", "failure_kind", "string?",
     "crashed|exited|out_of_memory|load_timeout|unresponsive|bad_model|bad_setup|spawn_failed|"
     "stale_profile|out_of_device_memory|killed"},
    {"Model", "devices", "[DeviceShare]"},
    {"Model", "device_failures", "integer"},
    {"Model", "cpu_only", "boolean"},
    {"Model", "cpu_for_ms", "integer?"},
    {"Model", "taken_by_pressure", "boolean"},
    {"Model", "tokens", "Tokens"},
    {"Model", "notes", "[string]"},

    {"Tokens", "prompt", "integer"},
    {"Tokens", "kept", "integer"},
    {"Tokens", "read", "integer"},
    {"Tokens", "generated", "integer"},

    {"Models", "object", "string", "list"},
    {"Models", "data", "[Model]"},

    {"Problem", "code", "string"},
    {"Problem", "text", "string"},

    {"Daemon", "version", "string"},
    {"Daemon", "listen", "string"},
    {"Daemon", "pid", "integer"},
    {"Daemon", "uptime_ms", "integer"},
    {"Daemon", "memory_source", "string"},

    {"System", "total_gb", "number"},
    {"System", "available_gb", "number"},
    {"System", "pressure_percent", "number"},

    {"LoadedModel", "name", "string"},
    {"LoadedModel", "size_gb", "number"},
    {"LoadedModel", "expires_at", "string?"},

    {"LoadedModels", "loaded_models", "[LoadedModel]"},
    {"LoadedModels", "total_loaded_gb", "number"},

    {"Router", "active_member", "string?"},
    {"Router", "last_unload", "string?"},

    {"Status", "time_ms", "integer"},
    {"Status", "daemon", "Daemon"},
    {"Status", "healthy", "boolean"},
    {"Status", "problems", "[Problem]"},
    {"Status", "shutting_down", "boolean"},
    {"Status", "waiting", "integer"},
    {"Status", "leases", "integer"},
    {"Status", "preset", "string"},
    {"Status", "pools", "[Pool]"},
    {"Status", "models", "[Model]"},
    {"Status", "system", "System"},
    {"Status", "ollama", "LoadedModels"},
    {"Status", "router", "Router"},

    {"Tried", "placement", "Placement"},
    {"Tried", "need_bytes", "integer"},
    {"Tried", "fits", "boolean"},

    {"Decision", "seq", "integer"},
    {"Decision", "time_ms", "integer"},
    {"Decision", "kind", "string",
     "load|ready|evict|unload|wait|yield|degrade|upgrade|refuse|replay|fail|stall|pin|level|"
     "recover|"
     "leak"},
    {"Decision", "reason", "string"},
    {"Decision", "model", "string?"},
    {"Decision", "other", "string?"},
    {"Decision", "explain", "string"},
    {"Decision", "request", "integer?"},
    {"Decision", "generation", "integer?"},
    {"Decision", "placement", "Placement?"},
    {"Decision", "pool", "string?"},
    {"Decision", "need_bytes", "integer"},
    {"Decision", "headroom_bytes", "integer"},
    {"Decision", "usable_bytes", "integer"},
    {"Decision", "victims", "[string]"},
    {"Decision", "tried", "[Tried]"},
    {"Decision", "waited_ms", "integer"},
    {"Decision", "retry_after_ms", "integer"},
    {"Decision", "used_bytes", "integer?"},
    {"Decision", "capacity_bytes", "integer?"},
    {"Decision", "foreign_bytes", "integer?"},
    {"Decision", "cooldown_ms", "integer?"},
    {"Decision", "failure", "string?"},
    {"Decision", "text", "string"},

    {"Decisions", "object", "string", "list"},
    {"Decisions", "data", "[Decision]"},
    {"Decisions", "first_seq", "integer"},
    {"Decisions", "last_seq", "integer"},

    {"StoryLine", "time_ms", "integer"},
    {"StoryLine", "explain", "string"},
    {"Story", "object", "string", "list"},
    {"Story", "data", "[StoryLine]"},
    {"Story", "request", "integer"},

    {"Moved", "model", "string"},
    {"Moved", "from_state", "string"},
    {"Moved", "to_state", "string"},
    {"Moved", "from_tier", "string"},
    {"Moved", "to_tier", "string"},
    {"Moved", "reserved_before_bytes", "integer"},
    {"Moved", "reserved_after_bytes", "integer"},
    {"Moved", "weights_bytes", "integer"},
    {"Before", "pools", "[Pool]"},
    {"Before", "model", "Model?"},
    {"CommandAnswer", "ok", "boolean"},
    {"CommandAnswer", "command", "string"},
    {"CommandAnswer", "model", "string?"},
    {"CommandAnswer", "text", "string"},
    {"CommandAnswer", "moved", "[Moved]"},
    {"CommandAnswer", "before", "Before"},
    {"CommandAnswer", "after", "Before"},

    {"ReloadAnswer", "changed", "[string]"},
    {"ReloadAnswer", "added", "[string]"},
    {"ReloadAnswer", "removed", "[string]"},
    {"ReloadAnswer", "after_restart", "[string]"},
    {"ReloadAnswer", "warnings", "[string]"},

    {"LogSettings", "level", "string"},
    {"LogSettings", "format", "string"},

    {"HistoryRow", "time_ms", "integer"},
    {"HistoryRow", "pools", "[object]"},
    {"HistoryRow", "models", "[object]"},
    {"History", "object", "string", "list"},
    {"History", "step_ms", "integer"},
    {"History", "since_ms", "integer"},
    {"History", "until_ms", "integer"},
    {"History", "data", "[HistoryRow]"},

    {"MemoryStats", "cuda_available", "boolean"},
    {"MemoryStats", "total_mb", "integer"},
    {"MemoryStats", "free_mb", "integer"},
    {"MemoryStats", "used_mb", "integer"},
    {"MemoryStats", "used_percent", "number"},
    {"MemoryStats", "usage_percent", "number"},
    {"MemoryStats", "allocated_mb", "integer"},
    {"MemoryStats", "reserved_mb", "integer"},
    {"MemoryStats", "budget_total_mb", "integer"},
    {"MemoryStats", "budget_usable_mb", "integer"},
    {"MemoryStats", "cpu_budget_total_mb", "integer"},
    {"MemoryStats", "cpu_budget_usable_mb", "integer"},
    {"MemoryStats", "cpu_used_mb", "integer"},
    {"MemoryStats", "models_loaded", "integer"},
    {"MemoryStats", "models_on_gpu", "integer"},
    {"MemoryStats", "models_offloaded", "integer"},
    {"MemoryStats", "pressure_level", "string"},
    {"MemoryStats", "total_evictions", "integer"},
    {"MemoryStats", "total_offloads", "integer"},
    {"MemoryStats", "total_restorations", "integer"},
    {"MemoryStats", "total_unloads", "integer"},
    {"MemoryStats", "cuda_errors", "integer"},
    {"MemoryStats", "cuda_errors_max", "integer"},
    {"MemoryStats", "preset", "string"},
    {"MemoryStats", "pools", "[Pool]"},

    {"MemoryModel", "model_name", "string"},
    {"MemoryModel", "model_type", "string"},
    {"MemoryModel", "quantization", "string"},
    {"MemoryModel", "location", "string", "gpu|cpu|unloaded"},
    {"MemoryModel", "memory_mb", "integer"},
    {"MemoryModel", "idle_seconds", "number"},
    {"MemoryModel", "last_used", "number"},
    {"MemoryModel", "use_count", "integer"},

    {"MemoryEviction", "model_name", "string?"},
    {"MemoryEviction", "model_type", "string?"},
    {"MemoryEviction", "quantization", "string"},
    {"MemoryEviction", "reason", "string"},
    {"MemoryEviction", "action", "string", "unloaded"},
    {"MemoryEviction", "memory_freed_mb", "integer"},
    {"MemoryEviction", "timestamp", "number"},
    {"MemoryEviction", "explain", "string"},

    {"MemoryHealth", "healthy", "boolean"},
    {"MemoryHealth", "mode", "string", "gpu|cpu"},
    {"MemoryHealth", "pressure", "string"},
    {"MemoryHealth", "used_percent", "number"},
    {"MemoryHealth", "message", "string"},
    {"MemoryHealth", "problems", "[Problem]"},

    {"Gpu", "index", "integer"},
    {"Gpu", "name", "string"},
    {"Gpu", "total_mb", "number"},
    {"Gpu", "used_mb", "number"},
    {"Gpu", "free_mb", "number"},
    {"Gpu", "unified", "boolean"},
    {"Gpu", "lost", "boolean"},
    {"SystemMemory", "ram_total_mb", "number"},
    {"SystemMemory", "ram_available_mb", "number"},
    {"SystemMemory", "ram_used_mb", "number"},
    {"SystemMemory", "gpus", "[Gpu]"},
    {"SystemMemory", "total_vram_free_mb", "number"},
    {"SystemMemory", "timestamp", "number"},
    {"SystemMemory", "loaded_models", "object"},
    {"SystemMemory", "heavy_slot", "string?"},
    {"SystemMemory", "pressure", "string"},

    {"ModelMeta", "n_ctx", "integer?"},
    {"ModelMeta", "n_ctx_train", "integer?"},
    {"OpenAiModel", "id", "string"},
    {"OpenAiModel", "object", "string", "model"},
    {"OpenAiModel", "created", "integer"},
    {"OpenAiModel", "owned_by", "string"},
    {"OpenAiModel", "context_length", "integer?"},
    {"OpenAiModel", "context_window", "integer?"},
    {"OpenAiModel", "max_model_len", "integer?"},
    {"OpenAiModel", "meta", "ModelMeta"},
    {"OpenAiModel", "type", "string?"},
    {"OpenAiModel", "capabilities", "[string]"},
    {"OpenAiModel", "tonnage", "object"},
    {"OpenAiModels", "object", "string", "list"},
    {"OpenAiModels", "data", "[OpenAiModel]"},
});

OrderedJson type_json(std::string_view type) {
  if (type.ends_with('?')) {
    OrderedJson inner = type_json(type.substr(0, type.size() - 1));
    if (inner.contains("$ref"))
      return {{"anyOf", {std::move(inner), {{"type", "null"}}}}};
    inner["type"] = {inner["type"], "null"};
    return inner;
  }
  if (type.starts_with('['))
    return {{"type", "array"}, {"items", type_json(type.substr(1, type.size() - 2))}};
  if (type.front() >= 'A' && type.front() <= 'Z')
    return {{"$ref", "#/components/schemas/" + std::string(type)}};
  return {{"type", type}};
}

OrderedJson words_json(std::string_view words, bool nullable) {
  OrderedJson list = OrderedJson::array();
  while (!words.empty()) {
    const std::string_view word = words.substr(0, words.find('|'));
    list.push_back(word);
    words.remove_prefix(std::min(words.size(), word.size() + 1));
  }
  if (nullable)
    list.push_back(nullptr);
  return list;
}

// The shapes that are not a list of fields that are always there.
void add_free_shapes(OrderedJson& schemas) {
  schemas["Anything"] = {{"type", "object"}, {"additionalProperties", true}};
  schemas["SetLog"] = {
      {"type", "object"},
      {"properties",
       {{"level", {{"type", "string"}, {"enum", {"debug", "info", "warn", "error"}}}}}},
      {"required", {"level"}},
      {"additionalProperties", false}};
  schemas["Health"] = {{"type", "object"},
                       {"properties",
                        {{"status", {{"type", "string"}, {"enum", {"ok", "degraded"}}}},
                         {"problems", type_json("[Problem]")}}},
                       {"required", {"status"}}};
}

}  // namespace

OrderedJson openapi_schemas() {
  OrderedJson schemas = OrderedJson::object();
  for (const FieldRow& row : kFields) {
    OrderedJson& schema = schemas[std::string(row.schema)];
    if (schema.is_null()) {
      schema = {{"type", "object"},
                {"properties", OrderedJson::object()},
                {"required", OrderedJson::array()},
                {"additionalProperties", false}};
    }
    OrderedJson type = type_json(row.type);
    if (!row.words.empty())
      type["enum"] = words_json(row.words, row.type.ends_with('?'));
    schema["properties"][std::string(row.field)] = std::move(type);
    schema["required"].push_back(row.field);
  }
  add_free_shapes(schemas);
  add_request_schemas(schemas);
  add_error_schemas(schemas);
  return schemas;
}

}  // namespace tonnage::api
