#include "api/errors.h"

#include <algorithm>
#include <array>

#include "api/json_shapes.h"
#include "base/text.h"

namespace tonnage::api {
namespace {

using Json = OrderedJson;

constexpr std::size_t kNearMatchesMax = 3;
// Edit distance costs length x length: longer names are compared by their beginning.
constexpr std::size_t kComparedBytesMax = 96;

std::string compared_part(std::string_view text) {
  return to_lower(text.substr(0, kComparedBytesMax));
}

// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::array<std::array<std::size_t, kComparedBytesMax + 1>, 3> rows{};
  for (std::size_t j = 0; j <= b.size(); ++j)
    rows[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto& row = rows[i % 3];
    const auto& above = rows[(i + 2) % 3];
    const auto& two_above = rows[(i + 1) % 3];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], two_above[j - 2] + 1);
      }
    }
  }
  return rows[a.size() % 3][b.size()];
}

// Names as a list for a sentence: "a, b or c".
std::string one_of(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0)
      out += i + 1 == names.size() ? " or " : ", ";
    out += "'" + names[i] + "'";
  }
  return out;
}

std::string shortened(std::string_view text) {
  constexpr std::size_t kShownBytesMax = 200;
  if (text.size() <= kShownBytesMax)
    return std::string(text);
  return std::string(text.substr(0, kShownBytesMax)) + "...";
}

}  // namespace

Dialect dialect_of(std::string_view path) {
  return path.starts_with("/v1/messages") ? Dialect::anthropic : Dialect::openai;
}

std::string_view error_type(int status, Dialect dialect) {
  const bool openai = dialect == Dialect::openai;
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return openai ? "permission_denied" : "permission_error";
    case 404:
      return openai ? "invalid_request_error" : "not_found_error";
    case 413:
      return openai ? "invalid_request_error" : "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return openai ? "service_unavailable" : "overloaded_error";
    case 504:
      return openai ? "server_error" : "timeout_error";
    default:
      if (status < 500)
        return "invalid_request_error";
      return openai ? "server_error" : "api_error";
  }
}

void set_context_overflow(ApiError& error, const ContextOverflow& overflow) {
  error.status = 400;
  error.type = kContextOverflowType;
  error.code = kContextOverflowCode;
  error.overflow = overflow;
}

std::optional<std::int64_t> retry_after_s(const ApiError& error) {
  if (error.retry_after_s)
    return error.retry_after_s;
  return error.status == 429 || error.status == 503 ? std::optional<std::int64_t>(1) : std::nullopt;
}

namespace {

// Anthropic's words for a prompt that is too long, by which its clients know that they have to
// shorten the conversation; the engine's own follow.
std::string message_of(const ApiError& error, Dialect dialect) {
  const auto& overflow = error.overflow;
  if (dialect != Dialect::anthropic || !overflow || overflow->prompt_tokens <= 0 ||
      overflow->context <= 0) {
    return error.message;
  }
  return "prompt is too long: " + std::to_string(overflow->prompt_tokens) + " tokens > " +
         std::to_string(overflow->context) + " maximum: " + error.message;
}

void add_numbers(const ApiError& error, Json& inner) {
  if (error.overflow && error.overflow->prompt_tokens > 0)
    inner["n_prompt_tokens"] = error.overflow->prompt_tokens;
  if (error.overflow && error.overflow->context > 0)
    inner["n_ctx"] = error.overflow->context;
  const Json fields = Json::parse(error.fields_json, nullptr, false);
  if (fields.is_object())
    inner.update(fields);
  if (const auto seconds = retry_after_s(error))
    inner["retry_after_s"] = *seconds;
}

Json error_shape(const ApiError& error, Dialect dialect) {
  const bool anthropic = dialect == Dialect::anthropic;
  Json inner;
  inner["message"] = message_of(error, dialect);
  inner["type"] =
      error.type.empty() || anthropic ? std::string(error_type(error.status, dialect)) : error.type;
  inner["code"] = error.code;
  inner["param"] = error.param.empty() ? Json(nullptr) : Json(error.param);
  inner["status"] = error.status;
  add_numbers(error, inner);
  if (anthropic) {
    inner["details"] = {{"error_code", error.code}};
    if (!error.type.empty())
      inner["engine_type"] = error.type;
  }
  if (!error.tonnage_json.empty()) {
    Json more = Json::parse(error.tonnage_json, nullptr, false);
    if (!more.is_discarded())
      inner["tonnage"] = std::move(more);
  }
  Json outer;
  if (anthropic)
    outer["type"] = "error";
  outer["error"] = std::move(inner);
  return outer;
}

}  // namespace

std::string error_body(const ApiError& error, Dialect dialect) {
  return dump(error_shape(error, dialect));
}

std::string error_event(const ApiError& error, Dialect dialect) {
  // OpenAI's clients raise what they find under "error" in any data line.
  const std::string data = "data: " + error_body(error, dialect) + "\n\n";
  return dialect == Dialect::anthropic ? "event: error\n" + data : data;
}

std::vector<std::string> near_matches(std::string_view name, std::span<const std::string> known) {
  struct Match {
    std::size_t distance;
    std::size_t index;
    auto operator<=>(const Match&) const = default;
  };
  const std::string wanted = compared_part(name);
  std::vector<Match> matches;
  for (std::size_t i = 0; i < known.size() && !wanted.empty(); ++i) {
    const std::string candidate = compared_part(known[i]);
    const std::size_t shorter = std::min(wanted.size(), candidate.size());
    const std::size_t longer = std::max(wanted.size(), candidate.size());
    const std::size_t allowed = std::max<std::size_t>(2, longer / 3);
    std::size_t distance = allowed + 1;
    if (longer - shorter <= allowed)
      distance = edit_distance(wanted, candidate);
    // "qwen" finds "org/qwen3-8b"; one letter would find everything.
    const bool contains = shorter >= 3 && (candidate.find(wanted) != std::string::npos ||
                                           wanted.find(candidate) != std::string::npos);
    if (contains)
      distance = std::min(distance, allowed);
    if (distance <= allowed && distance < longer)
      matches.push_back({distance, i});
  }
  std::ranges::sort(matches);
  std::vector<std::string> names;
  for (const Match& match : matches) {
    if (names.size() == kNearMatchesMax)
      break;
    names.push_back(known[match.index]);
  }
  return names;
}

ApiError unknown_model(std::string_view name, std::span<const std::string> known) {
  const std::vector<std::string> near = near_matches(name, known);
  ApiError error{
      404, "model_not_found", "There is no model '" + shortened(name) + "'. ", "model", {}, {}};
  if (!near.empty()) {
    error.message += "Did you mean " + one_of(near) + "?";
  } else if (known.empty()) {
    error.message += "No models are configured for you.";
  } else {
    error.message += "GET /v1/models lists what there is.";
  }
  Json more;
  more["near_matches"] = near;
  error.tonnage_json = dump(more);
  return error;
}

ApiError unknown_request(std::string_view number) {
  return {404,
          "request_not_found",
          "No record of request " + shortened(number) +
              ". The number of a request is in the x-tonnage-request header of its answer. Older "
              "requests are in the journal: tonnage why --journal.",
          {},
          {},
          {}};
}

ApiError not_found(std::string_view path) {
  return {404, "not_found", "There is nothing at " + shortened(path) + ".", {}, {}, {}};
}

ApiError method_not_allowed(std::string_view method, std::string_view allow) {
  return {405,
          "method_not_allowed",
          shortened(method) + " is not allowed; use " + std::string(allow) + ".",
          {},
          {},
          {}};
}

ApiError body_too_large(Bytes limit) {
  return {413,
          "body_too_large",
          "The body of the request is larger than the limit of " + tonnage::to_text(limit) +
              ". Raise limits.body_max to allow more.",
          {},
          {},
          {}};
}

ApiError compressed_body(std::string_view encoding) {
  return {415,
          "content_encoding_not_supported",
          "The body of the request is compressed (Content-Encoding: " + shortened(encoding) +
              "), which is not supported. Send it uncompressed.",
          {},
          {},
          {}};
}

ApiError too_many_requests(std::string_view key_name, std::int32_t limit) {
  return {429,
          "too_many_requests",
          "Limit of " + std::to_string(limit) + " concurrent requests reached for the key '" +
              std::string(key_name) + "'. Wait until one of them ends.",
          {},
          1,
          {}};
}

ApiError upstream_lost(std::string_view model, std::string_view why, std::string_view last_words) {
  std::string message = "The connection to the server of model '" + shortened(model) +
                        "' was lost: " + std::string(why) + ".";
  if (!last_words.empty())
    message += " Its last words: " + shortened(last_words);
  return {502, "server_lost", std::move(message), {}, {}, {}};
}

ApiError upstream_timeout(std::string_view model, std::string_view what, Duration limit,
                          std::string_view key) {
  return {504,
          "upstream_timeout",
          "The server of model '" + shortened(model) + "' " + std::string(what) + " within " +
              tonnage::to_text(limit) + " (" + std::string(key) +
              "). Raise this limit if answers may take longer.",
          {},
          {},
          {}};
}

std::string queue_comment(std::uint64_t request, std::int32_t place, std::string_view waiting_for) {
  std::string out =
      ": tonnage queue place " + std::to_string(place) + ", request " + std::to_string(request);
  if (!waiting_for.empty()) {
    out += ", waiting for ";
    for (const char c : waiting_for)
      out += c == '\n' || c == '\r' ? ' ' : c;
  }
  return out + "\n\n";
}

}  // namespace tonnage::api
