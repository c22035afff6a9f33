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

// An error answer before it is put into a dialect. `tonnage` carries the machine-readable part.
struct ApiError {
  int status = 500;                           // HTTP
  std::string code;                           // "model_not_found", stable, for programs
  std::string message;                        // for people: what, why, what to do
  std::string param;                          // the field of the request at fault; may be empty
  std::optional<std::int64_t> retry_after_s;  // sent as Retry-After
  std::string tonnage_json;                   // a JSON object for error.tonnage; may be empty

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

// The body, always valid JSON; text that is not UTF-8 is repaired, never thrown at.
// openai: {"error":{"message","type","code","param","tonnage"?}}
// anthropic: {"type":"error","error":{"type","message","code","param","tonnage"?}}
std::string error_body(const ApiError& error, Dialect dialect);

// The same error inside an event stream that already began: one complete SSE event.
std::string error_event(const ApiError& error, Dialect dialect);

// What a refusal by the core looks like. `status` follows from the action's RefusalStatus:
// too_large 400, unavailable 503, bad_gateway 502. error.tonnage = {reason, model, pool,
// needed_bytes, headroom_bytes, usable_bytes, largest_fit, tried, suggestions}.
ApiError refusal(const Decision& decision, int status, const Policy& policy);

// At most three names like `name`, the nearest first; ties in the order of `known`. Compares
// without case, by edit distance and by containment; cost is bounded for any input.
std::vector<std::string> near_matches(std::string_view name, std::span<const std::string> known);

// 404 with near matches. `known` holds ids and aliases that the caller may use.
ApiError unknown_model(std::string_view name, std::span<const std::string> known);

// Errors that the door itself answers with.
ApiError unknown_request(std::string_view number);
ApiError not_found(std::string_view path);
ApiError method_not_allowed(std::string_view method, std::string_view allow);
ApiError body_too_large(std::int64_t limit_bytes);
ApiError too_many_requests(std::string_view key_name, std::int32_t limit);
ApiError upstream_lost(std::string_view model, std::string_view why);  // 502, after replays

// An SSE comment for a request that waits: ": tonnage queue place 3, waiting for NAME\n\n".
// Newlines in `waiting_for` become spaces; it may be empty.
std::string queue_comment(std::int32_t place, std::string_view waiting_for);

}  // namespace tonnage::api
