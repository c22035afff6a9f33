// The history between the core's snapshots, the store, and the JSON of the API.
#pragma once

#include <cstdint>
#include <string>

#include "core/snapshot.h"
#include "journal/history_store.h"

namespace tonnage {

// What the history keeps of a snapshot: every pool, and every model that has a server.
HistorySample history_sample(const Snapshot& snapshot, std::int64_t at_s, Duration span);

// {"object": "list", "step_ms", "since_ms", "until_ms", "data": [{"time_ms", "pools", "models"}]}
std::string history_json(const HistoryAnswer& answer, const HistoryQuery& query);

// <state_dir>/history.sqlite
std::filesystem::path history_file(const std::filesystem::path& state_dir);

}  // namespace tonnage
