// route(): which endpoint a request line means, and what it takes to use it.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/errors.h"

namespace tonnage::api {

enum class Endpoint : std::uint8_t {
  openai_models,     // GET /v1/models
  openai_model,      // GET /v1/models/{model}
  inference,         // POST to a door: the body names the model
  upstream,          // /upstream/{model}/rest
  health,            // GET /health
  metrics,           // GET /metrics
  memory_status,     // GET /api/memory/status
  memory_models,     // GET /api/memory/models
  memory_model,      // GET /api/memory/models/{model}
  memory_events,     // GET /api/memory/events
  memory_evictions,  // GET /api/memory/evictions
  memory_history,    // GET /api/memory/history
  load,              // POST /api/memory/models/{model}/load
  unload,            // POST .../unload, or DELETE /api/memory/models/{model}
  pin,               // POST .../pin
  unpin,             // POST .../unpin
  clear,             // POST .../clear
  flush,             // POST /api/memory/flush
  log,               // GET /api/memory/log
  set_log,           // PUT /api/memory/log
  logs,              // GET /logs/{model}
  memory_request,    // GET /api/memory/requests/{number}; `model` holds the number
  reload,            // POST /api/memory/reload
  memory_stats,      // GET /memory/stats
  memory_health,     // GET /memory/health
  loaded_models,     // GET /memory/models
  eviction_history,  // GET /memory/evictions
  system_memory,     // GET /system/memory
  openapi,           // GET /openapi.json
  preflight,         // OPTIONS on any of these
};

// What a door makes a model's server do, as far as the kind of model decides whether it can.
enum class Work : std::uint8_t { any, generate, embed, rank, media };

// What a key must be good for. `open` needs no key.
enum class Scope : std::uint8_t { open, infer, read, admin };

std::string_view to_text(Endpoint endpoint);
std::string_view to_text(Scope scope);

struct Route {
  Endpoint endpoint = Endpoint::health;
  Scope scope = Scope::admin;
  Dialect dialect = Dialect::openai;
  bool replayable = false;     // safe to send to the server a second time
  bool changes_state = false;  // for the check against posts from other sites
  Work work = Work::any;
  bool counted = true;    // upstream: false where the server needs no slot for it
  bool look = false;      // upstream: no use of the model; never loads it
  std::string_view door;  // of a fixed path: as it is documented, however it was asked for
  std::string model;      // decoded; empty where the path names none
  std::string rest;       // upstream: what to ask the server for, still encoded, with its query
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order

  // The first value of a query parameter; empty when absent.
  std::string_view query_value(std::string_view name) const;
};

// Says whether a decoded text is a configured model id or alias.
using IsModel = std::function<bool(std::string_view)>;

// Where no route fits: an error with status 404, 405 or 400, and for 405 the Allow header.
struct NoRoute {
  ApiError error;
  std::string allow;  // "GET, HEAD"; empty unless the status is 405
  Dialect dialect = Dialect::openai;
};

// `target` is the request target as it came: path and query, percent-encoded, any bytes. Model ids
// may hold '/', ':' and spaces, raw or encoded. Below /upstream the longest prefix that `is_model`
// knows is the id; when it knows none, the first segment is, so that the error can name it.
// Allocates nothing for the doors. Never throws on bad input.
std::expected<Route, NoRoute> route(std::string_view method, std::string_view target,
                                    const IsModel& is_model);

// One way to use a path. What varies in it is in braces: "/api/memory/models/{id}/load".
struct Served {
  std::string_view method;  // "GET"; HEAD goes with it
  std::string path;
  Endpoint endpoint;
  Scope scope;
};

// Everything that route() serves, but for OPTIONS and for the model servers' own paths.
std::vector<Served> served_paths();

// Percent-decoding of a path part ('+' stays). Empty on a bad escape, NUL or bad UTF-8.
std::optional<std::string> decode_path(std::string_view text);

// Percent-encodes everything but unreserved characters, for links and for the command line.
std::string encode_segment(std::string_view text);

}  // namespace tonnage::api
