// Script: what was told to a governor, in a form that can be told again with parts left out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/knobs.h"
#include "sim/scenario_policy.h"

namespace tonnage::sim {

// An event that can be told again after others were left out. Events of a server name it by its
// model and by how many of that model's servers were started since, because generations move. A
// ModelProfiled without rows brings those of the setting.
struct ScriptEvent {
  Tick at;
  Event event;
  std::optional<ModelId> server_of;
  std::size_t back = 0;
  bool late = false;  // of a server or a lease that had gone when it came
};

struct Script {
  ScenarioSetting setting;
  std::vector<ScriptEvent> events;
  std::string rule;               // what it breaks: "bytes", "liveness"
  std::optional<Duration> bound;  // with liveness: how long everything may take in the end
};

// A script as it was told, up to the first finding.
struct Retold {
  std::vector<ScriptEvent> kept;  // of the script
  std::vector<std::pair<Tick, Event>> told;
  std::string finding;
  std::uint64_t steps = 0;
};

// Tells the script. Events that could not happen in this order are left out, so that every list is
// one that adapters may bring. Empty when nothing breaks the script's rule.
std::optional<Retold> retell(const Script& script);

// What the failing seed told its governor, up to and including event number `events`.
Script script_of(const Knobs& knobs, std::uint64_t events, const std::string& finding);

// The golden scenario that shows the failure, with what the governor does now.
std::string write_scenario(const Script& script, std::uint64_t seed);

}  // namespace tonnage::sim
