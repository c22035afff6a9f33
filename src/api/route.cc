#include "api/route.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>

#include <simdjson.h>

#include "api/body.h"
#include "api/near_path.h"

namespace tonnage::api {
namespace {

enum class Method : std::uint8_t { get, post, del, put, options, other };

// Whether a path is a door of its own, or is an inference path only below /upstream.
enum class Place : std::uint8_t { door, below_upstream };

struct Row {
  std::string_view path;
  Method method;
  Endpoint endpoint;
  Scope scope;
  Dialect dialect = Dialect::openai;
  bool replayable = false;
  bool changes_state = false;
  Place place = Place::door;
  bool counted = true;
  Work work = Work::any;
};

constexpr Row door(std::string_view path, Work work, Dialect dialect = Dialect::openai) {
  return {path, Method::post, Endpoint::inference, Scope::infer, dialect,
          true, true,         Place::door,         true,         work};
}
// The llama server's own paths. Looking up tokens takes no slot.
constexpr Row below(std::string_view path, Work work, bool counted = true) {
  return {path, Method::post, Endpoint::inference,   Scope::infer, Dialect::openai,
          true, true,         Place::below_upstream, counted,      work};
}
constexpr Row view(std::string_view path, Endpoint endpoint, Scope scope) {
  return {path, Method::get, endpoint, scope};
}

constexpr Row change(std::string_view path, Method method, Endpoint endpoint) {
  return {path, method, endpoint, Scope::admin, Dialect::openai, false, true};
}

// Every fixed path: what it is, what it takes, and how its errors look.
constexpr std::array kRows = {
    door("/v1/chat/completions", Work::generate),
    door("/v1/completions", Work::generate),
    door("/v1/embeddings", Work::embed),
    door("/v1/rerank", Work::rank),
    door("/v1/reranking", Work::rank),
    door("/rerank", Work::rank),
    door("/v1/responses", Work::generate),
    door("/v1/messages", Work::generate, Dialect::anthropic),
    door("/v1/messages/count_tokens", Work::any, Dialect::anthropic),
    door("/v1/audio/transcriptions", Work::media),
    door("/v1/audio/translations", Work::media),
    door("/v1/audio/speech", Work::media),
    door("/v1/images/generations", Work::media),
    door("/v1/images/edits", Work::media),
    door("/v1/images/variations", Work::media),
    below("/completion", Work::generate),
    below("/completions", Work::generate),
    below("/chat/completions", Work::generate),
    below("/embedding", Work::embed),
    below("/embeddings", Work::embed),
    below("/reranking", Work::rank),
    below("/infill", Work::generate),
    below("/tokenize", Work::any, false),
    below("/detokenize", Work::any, false),
    below("/apply-template", Work::any, false),
    view("/v1/models", Endpoint::openai_models, Scope::infer),
    view("/health", Endpoint::health, Scope::open),
    view("/metrics", Endpoint::metrics, Scope::read),
    view("/api/memory/status", Endpoint::memory_status, Scope::read),
    view("/api/memory/models", Endpoint::memory_models, Scope::read),
    view("/api/memory/events", Endpoint::memory_events, Scope::read),
    view("/api/memory/evictions", Endpoint::memory_evictions, Scope::read),
    change("/api/memory/reload", Method::post, Endpoint::reload),
    view("/api/memory/history", Endpoint::memory_history, Scope::read),
    view("/api/memory/log", Endpoint::log, Scope::read),
    view("/memory/stats", Endpoint::memory_stats, Scope::read),
    view("/memory/health", Endpoint::memory_health, Scope::read),
    view("/memory/models", Endpoint::loaded_models, Scope::read),
    view("/memory/evictions", Endpoint::eviction_history, Scope::read),
    view("/system/memory", Endpoint::system_memory, Scope::read),
    view("/openapi.json", Endpoint::openapi, Scope::open),
    change("/api/memory/flush", Method::post, Endpoint::flush),
    change("/api/memory/log", Method::put, Endpoint::set_log),
};

// What may follow a model's id in /api/memory/models/{id}/verb.
struct Verb {
  std::string_view name;
  Endpoint endpoint;
};
constexpr std::array kVerbs = {Verb{"/load", Endpoint::load}, Verb{"/unload", Endpoint::unload},
                               Verb{"/pin", Endpoint::pin}, Verb{"/unpin", Endpoint::unpin},
                               Verb{"/clear", Endpoint::clear}};

// What may follow one of these is an id to its end.
struct IdRow {
  std::string_view prefix;
  Endpoint endpoint;
  Scope scope;
  std::string_view id;  // what the id is called
};
constexpr std::array kIdRows = {
    IdRow{"/v1/models/", Endpoint::openai_model, Scope::infer, "id"},
    IdRow{"/api/memory/requests/", Endpoint::memory_request, Scope::read, "number"},
    IdRow{"/logs/", Endpoint::logs, Scope::admin, "id"}};

constexpr std::string_view kMemoryPath = "/api/memory/models/";
constexpr std::string_view kUpstreamPath = "/upstream/";
constexpr std::size_t kQueryParamsMax = 64;

Method method_of(std::string_view text) {
  if (text == "GET" || text == "HEAD")
    return Method::get;
  if (text == "POST")
    return Method::post;
  if (text == "DELETE")
    return Method::del;
  if (text == "PUT")
    return Method::put;
  if (text == "OPTIONS")
    return Method::options;
  return Method::other;
}

std::string_view name_of(Method method) {
  constexpr auto kNames = std::to_array<std::string_view>({"GET", "POST", "DELETE", "PUT"});
  return kNames[static_cast<std::size_t>(method)];
}

int hex_value(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

// Empty on a bad escape.
std::optional<std::string> decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      if (i + 2 >= text.size())
        return std::nullopt;
      const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
      if (high < 0 || low < 0)
        return std::nullopt;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

using Routed = std::expected<Route, NoRoute>;

std::unexpected<NoRoute> no_route(ApiError error, std::string_view path) {
  return std::unexpected(NoRoute{std::move(error), {}, dialect_of(path)});
}

std::unexpected<NoRoute> wrong_method(std::string_view method, std::string allow,
                                      std::string_view path) {
  allow += ", OPTIONS";
  return std::unexpected(NoRoute{method_not_allowed(method, allow), allow, dialect_of(path)});
}

std::unexpected<NoRoute> bad_path(std::string_view path, std::string why) {
  return no_route(
      ApiError{400, "invalid_path", "The request's path cannot be used: " + why + ".", {}, {}, {}},
      path);
}

Route route_of(const Row& row) {
  Route found;
  found.endpoint = row.endpoint;
  found.scope = row.scope;
  found.dialect = row.dialect;
  found.replayable = row.replayable;
  found.changes_state = row.changes_state;
  found.counted = row.counted;
  found.work = row.work;
  found.door = row.path;
  return found;
}

Route preflight(std::string_view path) {
  Route found;
  found.endpoint = Endpoint::preflight;
  found.scope = Scope::open;
  found.dialect = dialect_of(path);
  return found;
}

// A path that ends in a model's id.
Routed model_route(Endpoint endpoint, Scope scope, std::string_view id, std::string_view path) {
  if (id.empty())
    return no_route(not_found(path), path);
  auto model = decode_path(id);
  if (!model || model->size() > kModelNameBytesMax) {
    return bad_path(path, "it holds no model id that is valid UTF-8 of at most " +
                              std::to_string(kModelNameBytesMax) + " bytes");
  }
  Route found;
  found.endpoint = endpoint;
  found.scope = scope;
  found.changes_state = scope == Scope::admin && endpoint != Endpoint::logs;
  found.model = std::move(*model);
  return found;
}

Routed memory_route(Method method, std::string_view method_text, std::string_view path,
                    const IsModel& is_model) {
  const std::string_view tail = path.substr(kMemoryPath.size());
  const auto verb = std::ranges::find_if(
      kVerbs, [&](const Verb& v) { return tail.ends_with(v.name) && tail.size() > v.name.size(); });
  if (method == Method::options)
    return preflight(path);
  if (verb != kVerbs.end()) {
    if (method == Method::post) {
      return model_route(verb->endpoint, Scope::admin,
                         tail.substr(0, tail.size() - verb->name.size()), path);
    }
    // An id may itself end in "/load".
    const auto whole = decode_path(tail);
    if (!whole || !is_model(*whole))
      return wrong_method(method_text, "POST", path);
  }
  if (method == Method::get) {
    return model_route(Endpoint::memory_model, Scope::read, tail, path);
  }
  if (method == Method::del)
    return model_route(Endpoint::unload, Scope::admin, tail, path);
  return wrong_method(method_text, "GET, HEAD, DELETE", path);
}

// Where the id ends in "id/rest": the longest id that is known, else the first segment.
std::size_t id_end(std::string_view tail, const IsModel& is_model) {
  const std::size_t first = std::min(tail.find('/'), tail.size());
  std::size_t best = first;
  // Encoded, an id is at most three times as long.
  const std::size_t longest = std::min(tail.size(), kModelNameBytesMax * 3);
  for (std::size_t end = first; end <= longest; ++end) {
    if (end != tail.size() && tail[end] != '/')
      continue;
    const auto id = decode_path(tail.substr(0, end));
    if (!id)
      break;
    if (is_model(*id))
      best = end;
  }
  return best;
}

Routed upstream_route(Method method, std::string_view path, std::string_view query,
                      const IsModel& is_model) {
  const std::string_view tail = path.substr(kUpstreamPath.size());
  const std::size_t end = id_end(tail, is_model);
  auto found = model_route(Endpoint::upstream, Scope::admin, tail.substr(0, end), path);
  if (!found)
    return found;
  if (method == Method::options)
    return preflight(path);
  const std::string_view below = tail.substr(end);
  found->rest = below.empty() ? "/" : std::string(below);
  found->look = true;
  found->changes_state = method != Method::get;
  if (method == Method::get)
    found->scope = Scope::read;
  // Compared as written: what is spelled in another way is not known to be harmless.
  const auto row = std::ranges::find_if(kRows, [&](const Row& r) {
    return r.endpoint == Endpoint::inference && r.path == found->rest && method == Method::post;
  });
  if (row != kRows.end()) {
    found->look = false;
    found->scope = row->scope;
    found->dialect = row->dialect;
    found->replayable = row->replayable;
    found->counted = row->counted;
    found->work = row->work;
  }
  if (!query.empty())
    found->rest += "?" + std::string(query);
  return found;
}

// The path of a door as it may have been meant: base URLs that end in a slash make two of it.
std::string_view plain_path(std::string_view path, std::string& storage) {
  if (path.find("//") != std::string_view::npos) {
    std::ranges::unique_copy(path, std::back_inserter(storage),
                             [](char a, char b) { return a == '/' && b == '/'; });
    path = storage;
  }
  if (path.size() > 1 && path.ends_with('/'))
    path.remove_suffix(1);
  return path;
}

Routed path_route(Method method, std::string_view method_text, std::string_view path,
                  std::string_view query, const IsModel& is_model) {
  std::string allow;
  std::string storage;
  const std::string_view fixed = plain_path(path, storage);
  for (const Row& row : kRows) {
    if (row.place != Place::door || row.path != fixed)
      continue;
    if (row.method == method)
      return route_of(row);
    if (!allow.empty())
      allow += ", ";
    allow += row.method == Method::get ? "GET, HEAD" : row.method == Method::put ? "PUT" : "POST";
  }
  if (!allow.empty()) {
    if (method == Method::options)
      return preflight(path);
    return wrong_method(method_text, std::move(allow), path);
  }
  if (path.starts_with(kUpstreamPath))
    return upstream_route(method, path, query, is_model);
  if (path.starts_with(kMemoryPath))
    return memory_route(method, method_text, path, is_model);
  for (const IdRow& row : kIdRows) {
    if (!path.starts_with(row.prefix))
      continue;
    if (method == Method::options)
      return preflight(path);
    if (method != Method::get)
      return wrong_method(method_text, "GET, HEAD", path);
    return model_route(row.endpoint, row.scope, path.substr(row.prefix.size()), path);
  }
  return no_route(nothing_at(path), path);
}

void read_query(std::string_view query, Route& found) {
  while (!query.empty() && found.query.size() < kQueryParamsMax) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.empty())
      continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string_view value = pair.substr(std::min(pair.size(), equals + 1));
    // A bad escape is taken as it stands: no endpoint's meaning hangs on it.
    found.query.emplace_back(
        decode(pair.substr(0, equals), true).value_or(std::string(pair.substr(0, equals))),
        decode(value, true).value_or(std::string(value)));
  }
}

}  // namespace

std::string_view to_text(Endpoint endpoint) {
  constexpr auto kNames = std::to_array<std::string_view>({"openai_models",
                                                           "openai_model",
                                                           "inference",
                                                           "upstream",
                                                           "health",
                                                           "metrics",
                                                           "memory_status",
                                                           "memory_models",
                                                           "memory_model",
                                                           "memory_events",
                                                           "memory_evictions",
                                                           "memory_history",
                                                           "load",
                                                           "unload",
                                                           "pin",
                                                           "unpin",
                                                           "clear",
                                                           "flush",
                                                           "log",
                                                           "set_log",
                                                           "logs",
                                                           "memory_request",
                                                           "reload",
                                                           "memory_stats",
                                                           "memory_health",
                                                           "loaded_models",
                                                           "eviction_history",
                                                           "system_memory",
                                                           "openapi",
                                                           "preflight"});
  static_assert(kNames.size() == static_cast<std::size_t>(Endpoint::preflight) + 1);
  return kNames[static_cast<std::size_t>(endpoint)];
}

std::string_view to_text(Scope scope) {
  constexpr std::array<std::string_view, 4> kNames = {"open", "infer", "read", "admin"};
  return kNames[static_cast<std::size_t>(scope)];
}

std::string_view Route::query_value(std::string_view name) const {
  const auto found =
      std::ranges::find(query, name, [](const auto& pair) { return std::string_view(pair.first); });
  return found == query.end() ? std::string_view() : std::string_view(found->second);
}

std::expected<Route, NoRoute> route(std::string_view method, std::string_view target,
                                    const IsModel& is_model) {
  target = target.substr(0, target.find('#'));
  const std::string_view path = target.substr(0, target.find('?'));
  if (!path.starts_with('/'))
    return bad_path(path, "it does not begin with '/'");
  if (std::ranges::any_of(
          target, [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7F'; })) {
    return bad_path(path, "it holds a space or a control character that is not encoded");
  }
  const std::string_view query = target.substr(std::min(target.size(), path.size() + 1));
  auto found = path_route(method_of(method), method, path, query, is_model);
  if (found && found->endpoint != Endpoint::upstream)
    read_query(query, *found);
  return found;
}

std::vector<Served> served_paths() {
  std::vector<Served> all;
  for (const Row& row : kRows) {
    if (row.place == Place::door)
      all.push_back({name_of(row.method), std::string(row.path), row.endpoint, row.scope});
  }
  for (const IdRow& row : kIdRows) {
    all.push_back({"GET", std::string(row.prefix) + "{" + std::string(row.id) + "}", row.endpoint,
                   row.scope});
  }
  const std::string model = std::string(kMemoryPath) + "{id}";
  all.push_back({"GET", model, Endpoint::memory_model, Scope::read});
  all.push_back({"DELETE", model, Endpoint::unload, Scope::admin});
  for (const Verb& verb : kVerbs)
    all.push_back({"POST", model + std::string(verb.name), verb.endpoint, Scope::admin});
  const std::string upstream = std::string(kUpstreamPath) + "{id}/{rest}";
  all.push_back({"GET", upstream, Endpoint::upstream, Scope::read});
  all.push_back({"POST", upstream, Endpoint::upstream, Scope::admin});
  return all;
}

std::optional<std::string> decode_path(std::string_view text) {
  auto decoded = decode(text, false);
  if (!decoded || decoded->find('\0') != std::string::npos)
    return std::nullopt;
  if (!decoded->empty() && !simdjson::validate_utf8(decoded->data(), decoded->size())) {
    return std::nullopt;
  }
  return decoded;
}

std::string encode_segment(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

}  // namespace tonnage::api
