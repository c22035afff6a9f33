// ApiError: an answer that says no, in the dialect of whoever asked.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/decision.h"

namespace tonnage::api {

// Whose error shape the caller understands. Ollama's joins with its door.
enum class Dialect : std::uint8_t { openai, anthropic };

// The dialect of a path's errors, where no route says it.
Dialect dialect_of(std::string_view path);

// A request that asks for more tokens than one request may use.
struct ContextOverflow {
  std::int64_t prompt_tokens = 0;  // 0: not known
  std::int64_t context = 0;        // likewise

  friend bool operator==(const ContextOverflow&, const ContextOverflow&) = default;
};

// What agents look for when they shorten a conversation: the type that llama.cpp gives, and
// OpenAI's code.
inline constexpr std::string_view kContextOverflowType = "exceed_context_size_error";
inline constexpr std::string_view kContextOverflowCode = "context_length_exceeded";

// An error answer before it is put into a dialect. `tonnage` carries the machine-readable part.
struct ApiError {
  int status = 500;                           // HTTP
  std::string code;                           // "model_not_found", stable, for programs
  std::string message;                        // for people: what, why, what to do
  std::string param;                          // the field of the request at fault; may be empty
  std::optional<std::int64_t> retry_after_s;  // sent as Retry-After
  std::string tonnage_json;                   // a JSON object for error.tonnage; may be empty
  std::string type = {};         // an engine's own, for OpenAI's shape; empty: by the status
  std::string fields_json = {};  // a JSON object of an engine's further fields; may be empty
  std::optional<ContextOverflow> overflow = {};

  friend bool operator==(const ApiError&, const ApiError&) = default;
};

template <typename T>
using ApiResult = std::expected<T, ApiError>;

inline std::unexpected<ApiError> deny(int status, std::string code, std::string message,
                                      std::string param = {}) {
  return std::unexpected(
      ApiError{status, std::move(code), std::move(message), std::move(param), {}, {}});
}

// The error's family, which follows from its status: OpenAI's and Anthropic's names for it.
std::string_view error_type(int status, Dialect dialect);

// Makes it the error of a prompt that is too long: status, code, type and both numbers.
void set_context_overflow(ApiError& error, const ContextOverflow& overflow);

// The body, always valid JSON; text that is not UTF-8 is repaired, never thrown at. The object is
// the same in an answer of its own and in an event: what an HTTP head would say is in it as well.
// openai: {"error":{"message","type","code","param","status",
//                   "n_prompt_tokens"?,"n_ctx"?,...,"retry_after_s"?,"tonnage"?}}
// anthropic: {"type":"error","error":{... as above ..., "details":{"error_code"}, "engine_type"?}},
// with Anthropic's own types.
std::string error_body(const ApiError& error, Dialect dialect);

// The same error inside an event stream that already began: one complete SSE event.
std::string error_event(const ApiError& error, Dialect dialect);

// When asking again makes sense: what the error says, else a moment for 429 and 503.
std::optional<std::int64_t> retry_after_s(const ApiError& error);

// What a refusal by the core looks like. `status` follows from the action's RefusalStatus:
// too_large 400, unavailable 503, bad_gateway 502. error.tonnage = {reason, model, pool,
// needed_bytes, headroom_bytes, usable_bytes, largest_fit, tried, suggestions}.
// For a context that is too small, `overflow` has the numbers.
ApiError refusal(const Decision& decision, int status, const Policy& policy,
                 const ContextOverflow& overflow = {});

// At most three names like `name`, the nearest first; ties in the order of `known`. Compares
// without case, by edit distance and by containment; cost is bounded for any input.
std::vector<std::string> near_matches(std::string_view name, std::span<const std::string> known);

// 404 with near matches. `known` holds ids and aliases that the caller may use.
ApiError unknown_model(std::string_view name, std::span<const std::string> known);

// Errors that the door itself answers with.
ApiError unknown_request(std::string_view number);
ApiError not_found(std::string_view path);
ApiError method_not_allowed(std::string_view method, std::string_view allow);
ApiError body_too_large(Bytes limit);
ApiError compressed_body(std::string_view encoding);
ApiError too_many_requests(std::string_view key_name, std::int32_t limit);
// 502, for a request that cannot be sent again. `last_words` of the server may be empty.
ApiError upstream_lost(std::string_view model, std::string_view why,
                       std::string_view last_words = {});
// 504. `what` the server failed to do, within which limit, and the key that sets it.
ApiError upstream_timeout(std::string_view model, std::string_view what, Duration limit,
                          std::string_view key);

// An SSE comment for a request that waits:
// ": tonnage queue place 3, request 17, waiting for NAME\n\n". The number is the one that
// `tonnage why` takes. Newlines in `waiting_for` become spaces; it may be empty.
std::string queue_comment(std::uint64_t request, std::int32_t place, std::string_view waiting_for);

}  // namespace tonnage::api
