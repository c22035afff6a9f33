// KeySpec: the table of everything a user may set; parsing, environment, schema and docs derive
// from it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/tick.h"
#include "config/config.h"
#include "core/policy.h"

namespace tonnage {

// A model while it is being read: both halves of what becomes one index in Config.
struct ModelDraft {
  ModelConfig config;
  ModelPolicy policy;
};

// A client key while it is being read; `key_env` is resolved afterwards.
struct ApiKeyDraft {
  ApiKey key;
  std::string key_env;
};

struct PressureDraft;  // config/pressure_reader.h
struct LevelDraft;

// What a key's value is written into. Only the pointer of the key's own scope is set, but for
// KeyScope::global, where `model` is the draft that every model starts from, and `pressure` what
// the levels are made of.
struct KeyTarget {
  Config* config = nullptr;
  ModelDraft* model = nullptr;
  ApiKeyDraft* api_key = nullptr;
  LadderStep* step = nullptr;
  PressureDraft* pressure = nullptr;
  LevelDraft* level = nullptr;
  DeviceBudget* device = nullptr;
};

enum class KeyScope : std::uint8_t { global, model, api_key, step, level, device };

enum class ValueType : std::uint8_t {
  boolean,
  integer,
  bytes,
  percent,  // "80%"
  duration,
  duration_or_never,  // "never" or "off" for none
  reserve,            // "10%", "1GiB", "min(20%, 8GiB)"
  choice,             // one of KeySpec::choices
  listen,             // "127.0.0.1:8726", or a list of them
  text,
  secret,  // a text that no message and no listing shows
  path,    // "~" is the home folder; relative to the file that names it
  text_list,
  path_list,
  text_map,
  defaults,  // a map of those model keys that have `inherited`
  models,    // a map from id to a map of model keys
  api_keys,  // a list of maps of api_key keys
  ladder,    // a list of maps of step keys
  pressure,  // one of KeySpec::choices, a list of levels, or a map
  levels,    // a list of maps of level keys
  actions,   // a list of what a level asks for
  devices,   // a map from device to a map of device keys
};

using TextList = std::vector<std::string>;
using TextMap = std::vector<std::pair<std::string, std::string>>;
// A choice is the index of its name in KeySpec::choices.
using Value = std::variant<bool, std::int64_t, Bytes, Duration, std::optional<Duration>, Reserve,
                           std::vector<Listen>, std::string, TextList, TextMap>;

struct KeySpec {
  KeyScope scope = KeyScope::global;
  std::string_view path;  // "queue.yield_after"; within the scope
  ValueType type = ValueType::text;
  std::string_view fallback;  // the default, as a user would write it; empty: none
  std::string_view doc;       // one sentence or two
  void (*store)(KeyTarget&, const Value&) = nullptr;  // null for the nested types
  // Bounds of integers, bytes, permille and microseconds.
  std::optional<std::int64_t> min = {};
  std::optional<std::int64_t> max = {};
  std::span<const std::string_view> choices = {};  // in the order of the enumeration they become
  bool inherited = false;          // a model key that `defaults` may set for all models
  std::string_view also = {};      // another path that is accepted and means the same
  std::string_view founding = {};  // an environment name from before TONNAGE_...

  // The rare fields of a row, for tables that read as sentences.
  KeySpec at_least(std::int64_t least) const;
  KeySpec within(std::int64_t least, std::int64_t most) const;
  KeySpec one_of(std::span<const std::string_view> names) const;
  KeySpec inherit() const;
  KeySpec or_as(std::string_view other_path) const;
  KeySpec founded_as(std::string_view variable) const;
};

// The whole table, in the order of the documentation.
std::span<const KeySpec> key_table();

// Its parts; one file each.
std::span<const KeySpec> global_keys();
std::span<const KeySpec> memory_keys();  // those of global_keys() about memory
std::span<const KeySpec> level_keys();   // level and device
std::span<const KeySpec> model_keys();
std::span<const KeySpec> client_keys();  // api_key and step

// Names that later versions will know, so that a configuration from the future gets an honest
// answer.
struct PlannedKey {
  KeyScope scope;
  std::string_view path;
  std::string_view what;  // "GPU pools come"
};
std::span<const PlannedKey> planned_keys();

// "TONNAGE_QUEUE_YIELD_AFTER" for "queue.yield_after".
std::string environment_name(std::string_view path);

// Variables that are not keys, with what reads them.
struct OtherVariable {
  std::string_view name;
  std::string_view doc;
};
std::span<const OtherVariable> other_variables();

}  // namespace tonnage
