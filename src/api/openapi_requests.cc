// What may be sent to the doors, and their errors. A door passes on what is not named here, so
// every request is open.
#include <array>

#include "api/openapi.h"

namespace tonnage::api {
namespace {

struct RequestRow {
  std::string_view schema;
  std::string_view properties;  // JSON, beside `model`
  std::string_view required;    // JSON, with `model`
};

constexpr std::string_view kMessages =
    R"("messages": {"type": "array", "minItems": 1, "items": {
         "type": "object",
         "properties": {
           "role": {"type": "string", "enum": ["system", "user", "assistant"]},
           "content": {"type": "string", "minLength": 1}},
         "required": ["role", "content"]}})";

constexpr std::string_view kTexts =
    R"({"anyOf": [{"type": "string", "minLength": 1},
         {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}}]})";

constexpr std::string_view kLimits =
    R"("max_tokens": {"type": "integer", "minimum": 1}, "stream": {"type": "boolean"})";

// "$messages", "$texts" and "$limits" stand for those above.
constexpr auto kRequests = std::to_array<RequestRow>({
    {"ChatRequest", "$messages, $limits", R"(["model", "messages"])"},
    {"CompletionRequest", R"("prompt": {"type": "string", "minLength": 1}, $limits)",
     R"(["model", "prompt"])"},
    {"EmbeddingRequest", R"("input": $texts)", R"(["model", "input"])"},
    {"RerankRequest",
     R"("query": {"type": "string", "minLength": 1},
        "documents": {"type": "array", "minItems": 1,
                      "items": {"type": "string", "minLength": 1}})",
     R"(["model", "query", "documents"])"},
    {"ResponsesRequest",
     R"("input": {"type": "string", "minLength": 1}, "stream": {"type": "boolean"})",
     R"(["model", "input"])"},
    {"MessagesRequest", "$messages, $limits", R"(["model", "messages", "max_tokens"])"},
    {"CountTokensRequest", "$messages", R"(["model", "messages"])"},
    {"SpeechRequest", R"("input": {"type": "string", "minLength": 1})", R"(["model", "input"])"},
    {"ImageRequest", R"("prompt": {"type": "string", "minLength": 1})", R"(["model", "prompt"])"},
    {"FileForm", R"("file": {"type": "string", "contentMediaType": "application/octet-stream"})",
     R"(["model", "file"])"},
    {"ImageForm", R"("image": {"type": "string", "contentMediaType": "application/octet-stream"})",
     R"(["model", "image"])"},
});

std::string with(std::string text, std::string_view word, std::string_view value) {
  if (const auto at = text.find(word); at != std::string::npos)
    text.replace(at, word.size(), value);
  return text;
}

}  // namespace

void add_request_schemas(OrderedJson& schemas) {
  for (const RequestRow& row : kRequests) {
    std::string properties(row.properties);
    properties = with(std::move(properties), "$messages", kMessages);
    properties = with(std::move(properties), "$texts", kTexts);
    properties = with(std::move(properties), "$limits", kLimits);
    schemas[std::string(row.schema)] = OrderedJson::parse(
        R"({"type": "object", "properties": {"model": {"type": "string", "minLength": 1,)"
        R"( "maxLength": 200, "description": "An id or alias, or `resident`"}, )" +
        properties + R"(}, "required": )" + std::string(row.required) +
        R"(, "additionalProperties": true})");
  }
}

// In both dialects. A model's server may name a status where we name a code, and add figures.
void add_error_schemas(OrderedJson& schemas) {
  schemas["Refusal"] = OrderedJson::parse(R"({
    "type": "object",
    "description": "What was needed, what there was, and what would help",
    "properties": {
      "reason": {"type": "string"}, "model": {"type": ["string", "null"]},
      "pool": {"type": ["string", "null"]}, "needed_bytes": {"type": "integer"},
      "headroom_bytes": {"type": "integer"}, "usable_bytes": {"type": "integer"},
      "waited_ms": {"type": "integer"}, "largest_fit": {"type": ["object", "null"]},
      "tried": {"type": "array", "items": {"$ref": "#/components/schemas/Tried"}},
      "suggestions": {"type": "array", "items": {"type": "string"}},
      "near_matches": {"type": "array", "items": {"type": "string"}}},
    "additionalProperties": true})");
  schemas["ErrorFacts"] = OrderedJson::parse(R"({
    "type": "object",
    "properties": {
      "message": {"type": "string"}, "type": {"type": "string"},
      "code": {"type": ["string", "integer", "null"]}, "param": {"type": ["string", "null"]},
      "status": {"type": "integer", "description": "of the answer, also in an event of a stream"},
      "n_prompt_tokens": {"type": "integer"}, "n_ctx": {"type": "integer"},
      "retry_after_s": {"type": "integer"},
      "tonnage": {"$ref": "#/components/schemas/Refusal"}},
    "required": ["message", "type"],
    "additionalProperties": true})");
  schemas["Error"] = OrderedJson::parse(R"({
    "type": "object",
    "properties": {"error": {"$ref": "#/components/schemas/ErrorFacts"}},
    "required": ["error"],
    "additionalProperties": true})");
  schemas["AnthropicError"] = schemas["Error"];
  schemas["AnthropicError"]["properties"]["type"] = {{"type", "string"}, {"enum", {"error"}}};
}

}  // namespace tonnage::api
