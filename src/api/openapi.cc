#include "api/openapi.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

#include "api/route.h"

namespace tonnage::api {
namespace {

struct Operation {
  std::string_view method;
  std::string_view path;
  std::string_view tag;
  std::string_view summary;
  std::string_view answer;      // a schema, "[schema]", or a content type
  std::string_view query = {};  // names of parameters, separated by spaces
  std::string_view body = {};   // a schema
};

constexpr std::string_view kJson = "Anything";
constexpr std::string_view kText = "text/plain";

constexpr auto kOperations = std::to_array<Operation>({
    {"POST", "/v1/chat/completions", "doors", "Chat", kJson, "", "ModelRequest"},
    {"POST", "/v1/completions", "doors", "Complete a text", kJson, "", "ModelRequest"},
    {"POST", "/v1/embeddings", "doors", "Embed texts", kJson, "", "ModelRequest"},
    {"POST", "/v1/rerank", "doors", "Rank documents for a query", kJson, "", "ModelRequest"},
    {"POST", "/v1/reranking", "doors", "Rank documents for a query", kJson, "", "ModelRequest"},
    {"POST", "/rerank", "doors", "Rank documents for a query", kJson, "", "ModelRequest"},
    {"POST", "/v1/responses", "doors", "Chat, OpenAI's newer form", kJson, "", "ModelRequest"},
    {"POST", "/v1/messages", "doors", "Chat, Anthropic's form", kJson, "", "ModelRequest"},
    {"POST", "/v1/messages/count_tokens", "doors", "Count a chat's tokens", kJson, "",
     "ModelRequest"},
    {"POST", "/v1/audio/transcriptions", "doors", "Speech to text", kJson, "", "ModelRequest"},
    {"POST", "/v1/audio/translations", "doors", "Speech to English text", kJson, "",
     "ModelRequest"},
    {"POST", "/v1/audio/speech", "doors", "Text to speech", kJson, "", "ModelRequest"},
    {"POST", "/v1/images/generations", "doors", "Make images", kJson, "", "ModelRequest"},
    {"POST", "/v1/images/edits", "doors", "Change images", kJson, "", "ModelRequest"},
    {"POST", "/v1/images/variations", "doors", "Vary images", kJson, "", "ModelRequest"},
    {"GET", "/v1/models", "doors", "Every configured model and `resident`", "OpenAiModels"},
    {"GET", "/v1/models/{id}", "doors", "One model", "OpenAiModel"},
    {"GET", "/upstream/{id}/{rest}", "doors", "Look at a model's server; never loads it", kJson},
    {"POST", "/upstream/{id}/{rest}", "doors",
     "Ask a model's server as it is; inference paths need only `infer`", kJson, "", kJson},

    {"GET", "/api/memory/status", "memory", "Pools, models and what is wrong", "Status"},
    {"GET", "/api/memory/models", "memory", "Every model", "Models"},
    {"GET", "/api/memory/models/{id}", "memory", "One model", "Model"},
    {"GET", "/api/memory/events", "memory", "Decisions, oldest first; a stream with `follow=1`",
     "Decisions", "model after limit follow"},
    {"GET", "/api/memory/evictions", "memory", "Decisions by which a model left", "Decisions",
     "model after limit follow"},
    {"GET", "/api/memory/history", "memory", "Memory over time", "History", "since step model"},
    {"GET", "/api/memory/requests/{number}", "memory", "What happened to a request", "Story"},

    {"POST", "/api/memory/models/{id}/load", "control", "Load a model, making room for it",
     "CommandAnswer"},
    {"POST", "/api/memory/models/{id}/unload", "control", "Unload a model", "CommandAnswer"},
    {"DELETE", "/api/memory/models/{id}", "control", "Unload a model", "CommandAnswer"},
    {"POST", "/api/memory/models/{id}/pin", "control", "Hold a model where it is", "CommandAnswer"},
    {"POST", "/api/memory/models/{id}/unpin", "control", "Let a model go again", "CommandAnswer"},
    {"POST", "/api/memory/models/{id}/clear", "control",
     "Forget a model's failures: it may use its GPU again", "CommandAnswer"},
    {"POST", "/api/memory/flush", "control", "Unload all that is neither pinned nor in use",
     "CommandAnswer"},
    {"POST", "/api/memory/reload", "control", "Read the configuration again", "ReloadAnswer"},
    {"GET", "/api/memory/log", "control", "How the daemon logs", "LogSettings"},
    {"PUT", "/api/memory/log", "control", "Change the log's level until the next start",
     "LogSettings", "", "SetLog"},
    {"GET", "/logs/{id}", "control", "What a model's server printed", kText, "follow"},

    {"GET", "/memory/stats", "compatibility", "GPU and host memory in MiB", "MemoryStats"},
    {"GET", "/memory/health", "compatibility", "Whether memory is short", "MemoryHealth"},
    {"GET", "/memory/models", "compatibility", "Models that have a server", "[MemoryModel]"},
    {"GET", "/memory/evictions", "compatibility", "Models that left, and why", "[MemoryEviction]",
     "limit"},
    {"GET", "/system/memory", "compatibility", "RAM, GPUs and loaded models", "SystemMemory"},

    {"GET", "/health", "daemon", "Whether the scheduler moves; 503 where it does not", "Health"},
    {"GET", "/metrics", "daemon", "Prometheus' text format", kText},
    {"GET", "/openapi.json", "daemon", "This document", kJson},
});

struct Parameter {
  std::string_view name;
  std::string_view type;
  std::string_view description;
};
constexpr auto kParameters = std::to_array<Parameter>({
    {"id", "string", "A model's id or alias; '/' and ':' may be sent as they are"},
    {"rest", "string", "The path at the server, with its query"},
    {"number", "integer", "From the x-tonnage-request header of an answer"},
    {"model", "string", "Only what is about this model"},
    {"after", "integer", "Only decisions with a larger seq"},
    {"limit", "integer", "The newest so many"},
    {"follow", "string", "1: go on as a stream"},
    {"since", "string", "How far back, as in 1h"},
    {"step", "string", "The length of a row, as in 10s"},
});

OrderedJson parameter_json(std::string_view name, bool in_path) {
  const auto found = std::ranges::find(kParameters, name, &Parameter::name);
  return {{"name", name},
          {"in", in_path ? "path" : "query"},
          {"required", in_path},
          {"description", found == kParameters.end() ? "" : found->description},
          {"schema", {{"type", found == kParameters.end() ? "string" : found->type}}}};
}

OrderedJson parameters_json(const Operation& operation) {
  OrderedJson list = OrderedJson::array();
  std::string_view path = operation.path;
  for (auto open = path.find('{'); open != std::string_view::npos; open = path.find('{')) {
    const auto close = path.find('}');
    list.push_back(parameter_json(path.substr(open + 1, close - open - 1), true));
    path.remove_prefix(close + 1);
  }
  std::string_view query = operation.query;
  while (!query.empty()) {
    const std::string_view name = query.substr(0, query.find(' '));
    list.push_back(parameter_json(name, false));
    query.remove_prefix(std::min(query.size(), name.size() + 1));
  }
  return list;
}

OrderedJson ref(std::string_view schema) {
  if (schema.starts_with('['))
    return {{"type", "array"}, {"items", ref(schema.substr(1, schema.size() - 2))}};
  return {{"$ref", "#/components/schemas/" + std::string(schema)}};
}

OrderedJson content_json(std::string_view answer) {
  if (answer.contains('/'))
    return {{std::string(answer), {{"schema", {{"type", "string"}}}}}};
  return {{"application/json", {{"schema", ref(answer)}}}};
}

// "get_api_memory_models_id_load"
std::string operation_id(const Operation& operation) {
  std::string out;
  for (const char c : std::string(operation.method) + std::string(operation.path)) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!out.empty() && out.back() != '_') {
      out += '_';
    }
  }
  while (out.ends_with('_'))
    out.pop_back();
  return out;
}

OrderedJson operation_json(const Operation& operation, Scope scope) {
  OrderedJson out;
  out["operationId"] = operation_id(operation);
  out["tags"] = {operation.tag};
  out["summary"] = operation.summary;
  out["x-tonnage-scope"] = to_text(scope);
  if (scope == Scope::open)
    out["security"] = OrderedJson::array();
  if (auto parameters = parameters_json(operation); !parameters.empty())
    out["parameters"] = std::move(parameters);
  if (!operation.body.empty()) {
    out["requestBody"] = {{"required", true}, {"content", content_json(operation.body)}};
  }
  out["responses"]["200"] = {{"description", operation.summary},
                             {"content", content_json(operation.answer)}};
  if (operation.answer == "CommandAnswer") {
    out["responses"]["409"] = {{"description", "It was not done; `text` says why"},
                               {"content", content_json(operation.answer)}};
  }
  if (operation.answer == "Health") {
    out["responses"]["503"] = {{"description", "`problems` says what is wrong"},
                               {"content", content_json(operation.answer)}};
  }
  out["responses"]["default"] = {{"description", "An error"}, {"content", content_json("Error")}};
  return out;
}

}  // namespace

std::string openapi_json(std::string_view version) {
  const std::vector<Served> served = served_paths();
  OrderedJson document;
  document["openapi"] = "3.1.0";
  document["info"] = {{"title", "tonnage"},
                      {"version", version},
                      {"description",
                       "The memory governor for local AI. Sizes end in _bytes, durations in _ms, "
                       "time_ms is Unix time; a field without a value is null."},
                      {"license", {{"name", "MIT"}, {"identifier", "MIT"}}}};
  document["servers"] = {{{"url", "/"}}};
  document["security"] = {{{"bearer", OrderedJson::array()}}, {{"key", OrderedJson::array()}}};
  document["paths"] = OrderedJson::object();
  for (const Operation& operation : kOperations) {
    const auto route = std::ranges::find_if(served, [&](const Served& one) {
      return one.method == operation.method && one.path == operation.path;
    });
    std::string method(operation.method);
    std::ranges::transform(method, method.begin(), [](char c) {
      return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    });
    document["paths"][std::string(operation.path)][method] =
        operation_json(operation, route == served.end() ? Scope::admin : route->scope);
  }
  document["components"]["securitySchemes"] = {
      {"bearer", {{"type", "http"}, {"scheme", "bearer"}}},
      {"key", {{"type", "apiKey"}, {"in", "header"}, {"name", "x-api-key"}}}};
  document["components"]["schemas"] = openapi_schemas();
  return dump(document);
}

}  // namespace tonnage::api
