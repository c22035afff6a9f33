// The memory of this machine in the shapes of programs that had their own memory API before: field
// names are theirs, numbers are the snapshot's (docs/api.md names each).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "api/decision_log.h"
#include "api/json_shapes.h"
#include "api/memory_api.h"
#include "core/snapshot.h"

namespace tonnage::api {

// Sizes are whole MiB in `_mb` and GiB with one decimal in `_gb`; times are Unix seconds, or ISO
// 8601 in UTC where the shape is one of text.

// GET /memory/stats, /memory/models, /memory/evictions.
std::string memory_stats_json(const Snapshot& snapshot, const ApiContext& context);
std::string loaded_models_json(const Snapshot& snapshot, const ApiContext& context);
std::string eviction_history_json(std::span<const LoggedDecision* const> entries,
                                  const Snapshot& snapshot, const ApiContext& context);

// GET /memory/health: always 200; `healthy` is false at the highest pressure level, or where
// something is wrong.
std::string memory_health_json(const Snapshot& snapshot, const ApiContext& context);

// GET /system/memory.
std::string system_memory_json(const Snapshot& snapshot, const ApiContext& context);

// What /api/memory/status has beside its own fields: `system`, `ollama`, `router`.
void add_router_view(OrderedJson& status, const Snapshot& snapshot, const ApiContext& context,
                     std::optional<Tick> last_unload);

// "LOW", "MODERATE", ...: the highest level of any pool, in capitals; below every level "NORMAL"
// under the preset `guard`, else "LOW".
std::string pressure_word(const Snapshot& snapshot, const Policy& policy);

// "Q4_K_M" of "qwen3-8b-q4_k_m.gguf"; empty where the name does not end in one.
std::string quantization_of(std::string_view file);

}  // namespace tonnage::api
