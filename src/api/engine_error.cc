#include "api/engine_error.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <utility>

#include "api/json_shapes.h"
#include "base/text.h"

namespace tonnage::api {
namespace {

using Json = OrderedJson;

// Bounds of what is passed on of an engine's words.
constexpr std::size_t kMessageBytesMax = 2000;
constexpr std::size_t kPageBytesMax = 300;
constexpr std::size_t kFieldsMax = 16;
constexpr std::size_t kFieldBytesMax = 256;
constexpr std::size_t kTypeBytesMax = 64;

// Whole characters only, with dots where something is missing.
std::string bounded(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max)
    return std::string(text);
  std::size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80)
    --end;
  return std::string(text.substr(0, end)) + "...";
}

// The words of a page or a plain text: without tags, on one line.
std::string plain_words(std::string_view text) {
  std::string words;
  bool in_tag = false;
  for (const char c : text) {
    const bool space = static_cast<unsigned char>(c) <= ' ';
    if (c == '<' || in_tag) {
      in_tag = c != '>';
    } else if (!space) {
      words += c;
      continue;
    }
    if (!words.empty() && words.back() != ' ')
      words += ' ';
    if (words.size() > kPageBytesMax * 2)
      break;
  }
  return bounded(trim(words), kPageBytesMax);
}

std::optional<std::string> text_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string() || found->empty())
    return std::nullopt;
  return found->get<std::string>();
}

std::optional<std::int64_t> number_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_integer())
    return std::nullopt;
  return found->get<std::int64_t>();
}

// "... (5020 tokens) ... 1024 ...": the first two numbers of a sentence.
std::vector<std::int64_t> numbers_in(std::string_view text) {
  std::vector<std::int64_t> numbers;
  for (std::size_t i = 0; i < text.size() && numbers.size() < 2; ++i) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + text.size(), value);
    if (error != std::errc{} || text[i] == '-')
      continue;
    numbers.push_back(value);
    i = static_cast<std::size_t>(end - text.data());
  }
  return numbers;
}

// A prompt that the model's context does not hold, by its type or by llama.cpp's sentences.
bool is_context_overflow(std::string_view type, std::string_view message) {
  constexpr auto kSentences = std::to_array<std::string_view>(
      {"exceeds the available context size", "is too large to process. increase the physical batch",
       "is larger than the max context size", "prompt is too long"});
  return type == kContextOverflowType || std::ranges::any_of(kSentences, [&](auto sentence) {
           return message.find(sentence) != std::string_view::npos;
         });
}

// llama.cpp answers 500 to much that only the request can mend, and clients send it again for that.
// What its slots say while they compute is not among these.
bool is_fault_of_request(std::string_view message) {
  constexpr auto kBeginnings = std::to_array<std::string_view>(
      {"[json.exception.", "Failed to parse messages", "Failed to parse tools",
       "Failed to parse tool call arguments", "'messages' is required", "\"prompt\" ",
       "\"json_schema\": ", "Cannot use both json_schema and grammar",
       "Cannot specify grammar with tools", "Failed to load image or audio file",
       "Invalid base64 value", "Invalid url value", "Unsupported param: ", "Only no echo",
       "Multimodal data provided", "Error: dry_", "Error: 'lora'", "Error: no triggers"});
  constexpr auto kEndings = std::to_array<std::string_view>(
      {"you may need to provide the mmproj", "param requires --jinja flag"});
  // Raised when what the model wrote is no UTF-8.
  if (message.starts_with("[json.exception.type_error.316]"))
    return false;
  return std::ranges::any_of(kBeginnings, [&](auto text) { return message.starts_with(text); }) ||
         std::ranges::any_of(kEndings, [&](auto text) { return message.ends_with(text); });
}

std::string code_of(int status, std::string_view type) {
  if (type == "not_supported_error" || status == 501)
    return "not_supported";
  if (type == "unavailable_error" || status == 503)
    return "server_unavailable";
  if (type == "not_found_error")
    return "not_found";
  return status < 500 ? "invalid_request" : "upstream_error";
}

// What the engine says beside the fields that every error has: its numbers, mostly.
std::string further_fields(const Json& object) {
  constexpr auto kOwn = std::to_array<std::string_view>(
      {"message", "type", "code", "param", "status", "tonnage", "n_prompt_tokens", "n_ctx",
       "details", "retry_after_s", "engine_type"});
  Json fields = Json::object();
  for (const auto& [name, value] : object.items()) {
    const bool fits =
        value.is_number() || value.is_boolean() ||
        (value.is_string() && value.get_ref<const std::string&>().size() <= kFieldBytesMax);
    if (!fits || name.size() > kTypeBytesMax || std::ranges::find(kOwn, name) != kOwn.end())
      continue;
    fields[name] = value;
    if (fields.size() == kFieldsMax)
      break;
  }
  return fields.empty() ? std::string{} : dump(fields);
}

// `object` holds message, type and the rest, in whatever shape the engine gives them.
ApiError from_object(int status, const Json& object, std::string message) {
  ApiError error;
  error.status = status;
  error.message = bounded(message, kMessageBytesMax);
  error.type = bounded(text_of(object, "type").value_or(""), kTypeBytesMax);
  error.param = bounded(text_of(object, "param").value_or(""), kFieldBytesMax);
  error.fields_json = further_fields(object);
  if (is_context_overflow(error.type, message)) {
    const auto said = numbers_in(message);
    ContextOverflow overflow;
    overflow.prompt_tokens =
        number_of(object, "n_prompt_tokens").value_or(said.empty() ? 0 : said[0]);
    overflow.context = number_of(object, "n_ctx").value_or(said.size() < 2 ? 0 : said[1]);
    set_context_overflow(error, overflow);
    return error;
  }
  if (status == 500 && is_fault_of_request(message)) {
    error.status = status = 400;
    error.type.clear();
  }
  const auto code = text_of(object, "code");
  error.code = code ? bounded(*code, kTypeBytesMax) : code_of(status, error.type);
  if (error.type == "error")  // an envelope's word, not a type
    error.type.clear();
  return error;
}

// A status that an engine's JSON carries, where the HTTP answer had none of its own.
int status_in(const Json& object, int fallback) {
  for (const char* name : {"status", "code"}) {
    const auto said = number_of(object, name);
    if (said && *said >= 400 && *said <= 599)
      return static_cast<int>(*said);
  }
  return fallback;
}

std::optional<ApiError> from_json(int status, const Json& json, int depth = 0) {
  if (!json.is_object())
    return std::nullopt;
  const auto inner = json.find("error");
  const Json& object = inner != json.end() && inner->is_object() ? *inner : json;
  std::optional<std::string> message;
  if (inner != json.end() && inner->is_string())
    message = inner->get<std::string>();
  for (const char* name : {"message", "detail", "reason"}) {
    if (!message)
      message = text_of(object, name);
  }
  if (!message)
    return std::nullopt;
  // A program between us and the engine may have wrapped the engine's answer as text.
  const std::string_view text = trim(*message);
  if (depth == 0 && text.starts_with('{')) {
    if (auto unpacked = from_json(status, Json::parse(text, nullptr, false), depth + 1))
      return unpacked;
  }
  return from_object(status, object, std::string(text));
}

// Some servers write the key into every event, with nothing in it.
bool says_something(const Json& error) {
  return !error.is_null() && error != false && error != "" && !(error.is_object() && error.empty());
}

ApiError without_words(int status, std::string_view model) {
  ApiError error;
  error.status = status;
  error.code = code_of(status, {});
  error.message = "The server of model '" + bounded(model, kTypeBytesMax) +
                  "' answered with status " + std::to_string(status);
  return error;
}

}  // namespace

ApiError engine_error(int status, std::string_view body, std::string_view model) {
  const std::string_view text = trim(body);
  if (text.starts_with('{')) {
    if (auto error = from_json(status, Json::parse(text, nullptr, false)))
      return std::move(*error);
  }
  const std::string words = plain_words(text);
  if (is_context_overflow({}, words))
    return from_object(status, Json::object(), words);
  ApiError error = without_words(status, model);
  error.message += words.empty() ? " and an empty body." : ": " + words;
  return error;
}

std::optional<ApiError> engine_error_event(std::string_view event, std::string_view model) {
  std::string data;
  bool named = false;
  while (!event.empty()) {
    std::string_view line = event.substr(0, event.find('\n'));
    event.remove_prefix(std::min(event.size(), line.size() + 1));
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    const std::string_view value = trim(line.substr(std::min(line.size(), line.find(':') + 1)));
    named = named || (line.starts_with("event:") && value == "error") || line.starts_with("error:");
    if (line.starts_with("data:") || line.starts_with("error:"))
      data.append(value).append("\n");
  }
  const Json json = Json::parse(trim(data), nullptr, false);
  if (json.is_object()) {
    const auto inner = json.find("error");
    const bool holds_error = inner != json.end() && says_something(*inner);
    const bool is_error = text_of(json, "object") == "error" || text_of(json, "type") == "error";
    if (!named && !holds_error && !is_error)
      return std::nullopt;
    const int status = status_in(holds_error && inner->is_object() ? *inner : json, 500);
    auto error = from_json(status, json);
    return error ? std::move(*error) : engine_error(status, data, model);
  }
  // Cut short, or no JSON: its beginning says whether it is an error.
  const std::string_view begin = trim(std::string_view(data).substr(data.starts_with('{') ? 1 : 0));
  if (!named && !begin.starts_with(R"("error")"))
    return std::nullopt;
  return engine_error(500, data, model);
}

}  // namespace tonnage::api
