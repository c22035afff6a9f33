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
  std::string_view body = {};   // a schema; "multipart Name" for a form
  bool streams = false;         // may answer with an event stream
};

constexpr std::string_view kJson = "Anything";
constexpr std::string_view kText = "text/plain";
constexpr std::string_view kAny = "*/*";

constexpr auto kOperations = std::to_array<Operation>({
    {"POST", "/v1/chat/completions", "doors", "Chat", kJson, "", "ChatRequest", true},
    {"POST", "/v1/completions", "doors", "Complete a text", kJson, "", "CompletionRequest", true},
    {"POST", "/v1/embeddings", "doors", "Embed texts", kJson, "", "EmbeddingRequest"},
    {"POST", "/v1/rerank", "doors", "Rank documents for a query", kJson, "", "RerankRequest"},
    {"POST", "/v1/reranking", "doors", "Rank documents for a query", kJson, "", "RerankRequest"},
    {"POST", "/rerank", "doors", "Rank documents for a query", kJson, "", "RerankRequest"},
    {"POST", "/v1/responses", "doors", "Chat, OpenAI's newer form", kJson, "", "ResponsesRequest",
     true},
    {"POST", "/v1/messages", "doors", "Chat, Anthropic's form", kJson, "", "MessagesRequest", true},
    {"POST", "/v1/messages/count_tokens", "doors", "Count a chat's tokens", kJson, "",
     "CountTokensRequest"},
    {"POST", "/v1/audio/transcriptions", "doors", "Speech to text", kJson, "",
     "multipart FileForm"},
    {"POST", "/v1/audio/translations", "doors", "Speech to English text", kJson, "",
     "multipart FileForm"},
    {"POST", "/v1/audio/speech", "doors", "Text to speech", kJson, "", "SpeechRequest"},
    {"POST", "/v1/images/generations", "doors", "Make images", kJson, "", "ImageRequest"},
    {"POST", "/v1/images/edits", "doors", "Change images", kJson, "", "multipart ImageForm"},
    {"POST", "/v1/images/variations", "doors", "Vary images", kJson, "", "multipart ImageForm"},
    {"GET", "/v1/models", "doors", "Every configured model and `resident`", "OpenAiModels"},
    {"GET", "/v1/models/{id}", "doors", "One model", "OpenAiModel"},
    {"GET", "/upstream/{id}/{rest}", "doors", "Look at a model's server; never loads it", kAny},
    {"POST", "/upstream/{id}/{rest}", "doors",
     "Ask a model's server as it is. Inference paths need only `infer` and load the model; "
     "everything else is a look",
     kAny, "", kJson},

    {"GET", "/api/memory/status", "memory", "Pools, models and what is wrong", "Status"},
    {"GET", "/api/memory/models", "memory", "Every model", "Models"},
    {"GET", "/api/memory/models/{id}", "memory", "One model", "Model"},
    {"GET", "/api/memory/events", "memory", "Decisions, oldest first; a stream with `follow=1`",
     "Decisions", "model after limit follow", "", true},
    {"GET", "/api/memory/evictions", "memory", "Decisions by which a model left", "Decisions",
     "model after limit follow", "", true},
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
  std::string_view description;
  std::string_view schema;  // JSON
};
constexpr auto kParameters = std::to_array<Parameter>({
    {"id", "A model's id or alias; '/' and ':' may be sent as they are",
     R"({"type": "string", "minLength": 1, "maxLength": 200})"},
    {"rest", "The path at the server, with its query", R"({"type": "string", "minLength": 1})"},
    {"number", "From the x-tonnage-request header of an answer",
     R"({"type": "integer", "minimum": 1})"},
    {"model", "Only what is about this model", R"({"type": "string"})"},
    {"after", "Only decisions with a larger seq", R"({"type": "integer", "minimum": 0})"},
    {"limit", "The newest so many", R"({"type": "integer", "minimum": 0})"},
    {"follow", "1: go on as a stream", R"({"type": "string", "enum": ["0", "1"]})"},
    {"since", "How far back, as in 1h",
     R"({"type": "string", "pattern": "^[1-9][0-9]{0,3}(s|m|h)$"})"},
    {"step", "The length of a row, as in 10s",
     R"({"type": "string", "pattern": "^[1-9][0-9]{0,3}(s|m|h)$"})"},
});

OrderedJson parameter_json(std::string_view name, bool in_path) {
  const auto found = std::ranges::find(kParameters, name, &Parameter::name);
  const bool known = found != kParameters.end();
  return {{"name", name},
          {"in", in_path ? "path" : "query"},
          {"required", in_path},
          {"description", known ? found->description : ""},
          {"schema", OrderedJson::parse(known ? found->schema : R"({"type": "string"})")}};
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
  if (answer == kAny)
    return {{std::string(answer), {{"schema", OrderedJson::object()}}}};
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

OrderedJson body_json(std::string_view body) {
  constexpr std::string_view kForm = "multipart ";
  if (!body.starts_with(kForm))
    return {{"required", true}, {"content", content_json(body)}};
  return {{"required", true},
          {"content", {{"multipart/form-data", {{"schema", ref(body.substr(kForm.size()))}}}}}};
}

// An error's shape is that of the caller's dialect.
OrderedJson error_json(const Operation& operation, std::string_view description) {
  const bool anthropic = operation.path.starts_with("/v1/messages");
  return {{"description", description},
          {"content", content_json(anthropic ? "AnthropicError" : "Error")}};
}

// What may happen to a request of a door beside its answer.
void add_door_errors(const Operation& operation, OrderedJson& responses) {
  constexpr std::pair<const char*, std::string_view> kErrors[] = {
      {"400", "The body cannot be used, the model cannot do it (`unfit_model`), or it never fits"},
      {"404", "No such model"},
      {"413", "The body is too large"},
      {"415", "The body is of a type that is not taken"},
      {"429", "The key has reached its limit of concurrent requests"},
      {"501", "The model's server cannot do it"},
      {"502", "The model's server failed with it"},
      {"503", "It cannot be served now; see `Retry-After`"},
      {"504", "The model's server took too long"}};
  for (const auto& [status, description] : kErrors)
    responses[status] = error_json(operation, description);
  for (const char* status : {"429", "503"}) {
    responses[status]["headers"]["Retry-After"] = {
        {"description", "Seconds until it makes sense to ask again"},
        {"schema", {{"type", "integer"}}}};
  }
}

OrderedJson responses_json(const Operation& operation, Scope scope) {
  OrderedJson out;
  OrderedJson content = content_json(operation.answer);
  if (operation.streams)
    content["text/event-stream"] = {{"schema", OrderedJson::object()}};
  out["200"] = {{"description", operation.summary}, {"content", std::move(content)}};
  if (operation.answer == "CommandAnswer") {
    out["409"] = {{"description", "It was not done; `text` says why"},
                  {"content", content_json(operation.answer)}};
  }
  if (operation.answer == "Health") {
    out["503"] = {{"description", "`problems` says what is wrong"},
                  {"content", content_json(operation.answer)}};
  }
  if (scope != Scope::open) {
    out["401"] = error_json(operation, "A key is needed, and none or a wrong one was sent");
    out["403"] = error_json(operation, "The key lacks the scope, or the page may not ask");
  }
  // Below /upstream the errors of the model's server pass as they are.
  if (operation.answer == kAny) {
    out["default"] = {{"description", "What the model's server answers"},
                      {"content", content_json(kAny)}};
    return out;
  }
  if (operation.tag == "doors" && operation.method == "POST")
    add_door_errors(operation, out);
  out["default"] = error_json(operation, "An error");
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
  if (!operation.body.empty())
    out["requestBody"] = body_json(operation.body);
  out["responses"] = responses_json(operation, scope);
  return out;
}

}  // namespace

std::string openapi_json(std::string_view version, bool keys) {
  const std::vector<Served> served = served_paths();
  OrderedJson document;
  document["openapi"] = "3.1.0";
  document["info"] = {{"title", "Tonnage"},
                      {"version", version},
                      {"description",
                       "The memory governor for local AI. Sizes end in _bytes, durations in _ms, "
                       "time_ms is Unix time; a field without a value is null."},
                      {"license", {{"name", "MIT"}, {"identifier", "MIT"}}}};
  document["servers"] = {{{"url", "/"}}};
  document["security"] = OrderedJson::array();
  if (keys)
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
