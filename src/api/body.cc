#include "api/body.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include <simdjson.h>

#include "api/form_scan.h"
#include "api/json_scan.h"

namespace tonnage::api {
namespace {

constexpr std::string_view kWhichModel = "name one of the models that GET /v1/models lists";

std::unexpected<ApiError> no_model() {
  return deny(400, "missing_model", "The request names no model: " + std::string(kWhichModel) + ".",
              "model");
}

// The largest prefix that is whole UTF-8, by halving; only reached when the whole is not.
std::size_t utf8_fault(std::string_view text) {
  std::size_t good = 0, bad = text.size();
  while (bad - good > 1) {
    std::size_t middle = good + (bad - good) / 2;
    // A cut inside a character is no fault of the text before it.
    std::size_t cut = middle;
    while (cut > good && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80 &&
           middle - cut < 3) {
      --cut;
    }
    if (cut > good && simdjson::validate_utf8(text.data() + good, cut - good)) {
      good = cut;
    } else if (cut > good) {
      bad = cut;
    } else {
      break;
    }
  }
  return good;
}

std::optional<ApiError> check_utf8(std::string_view text) {
  if (text.empty() || simdjson::validate_utf8(text.data(), text.size()))
    return std::nullopt;
  return ApiError{
      400,
      "invalid_utf8",
      "The request's body is not valid UTF-8 near byte " + std::to_string(utf8_fault(text)) + ".",
      {},
      {},
      {}};
}

ApiResult<std::string> checked_model(std::string name) {
  if (name.empty())
    return no_model();
  if (name.size() > kModelNameBytesMax) {
    return deny(400, "invalid_model",
                "The request's model name is longer than " + std::to_string(kModelNameBytesMax) +
                    " bytes: " + std::string(kWhichModel) + ".",
                "model");
  }
  return name;
}

// What a value is, for "model must be a string, not ...".
std::string_view kind_of(std::string_view value) {
  switch (value.front()) {
    case '{':
      return "an object";
    case '[':
      return "an array";
    case 't':
    case 'f':
      return "a boolean";
    case 'n':
      return "null";
    default:
      return "a number";
  }
}

ApiResult<std::string> model_value(std::string_view value) {
  if (value == "null")
    return no_model();
  if (value.front() != '"') {
    return deny(400, "invalid_model",
                "The request's model must be a string, not " + std::string(kind_of(value)) + ".",
                "model");
  }
  auto name = unescape_json(value.substr(1, value.size() - 2));
  if (!name) {
    return deny(400, "invalid_model", "The request's model holds half of a surrogate pair.",
                "model");
  }
  return checked_model(std::move(*name));
}

std::optional<std::int64_t> token_count(std::string_view value) {
  std::int64_t count = 0;
  const char* end = value.data() + value.size();
  const auto [last, error] = std::from_chars(value.data(), end, count);
  if (error != std::errc{} || last != end || count < 0)
    return std::nullopt;
  return count;
}

bool is_token_limit(std::string_view key) {
  return key == "max_tokens" || key == "max_completion_tokens" || key == "max_output_tokens" ||
         key == "n_predict";
}

bool is_number(std::string_view element) {
  return element.front() == '-' || (element.front() >= '0' && element.front() <= '9');
}

// What a value of `input`, `prompt` or `documents` asks for.
struct Texts {
  std::int64_t count = 1;
  bool list = false;         // of texts, or of token lists, and of nothing else
  std::size_t bytes = 0;     // of the longest
  std::int64_t numbers = 0;  // of the longest: tokens
};

std::int64_t count_numbers(std::string_view list) {
  JsonArrayReader reader(list.substr(1, list.size() - 2));
  std::string_view element;
  std::int64_t count = 0;
  while (reader.next(element))
    count += is_number(element) ? 1 : 0;
  return count;
}

// A list in which a number stands is one text, given as its tokens or mixed of both. So is one of
// messages, as Responses have it.
Texts read_texts(const JsonMember& member) {
  Texts texts{.count = 0, .list = true, .bytes = 0, .numbers = 0};
  if (!member.value.starts_with('['))
    return {.count = 1, .list = false, .bytes = member.text_bytes, .numbers = 0};
  JsonArrayReader reader(member.value.substr(1, member.value.size() - 2));
  std::string_view element;
  bool numbers = false;
  bool messages = member.key == "input";
  while (reader.next(element)) {
    ++texts.count;
    numbers = numbers || is_number(element);
    messages = messages && element.front() == '{';
    const bool tokens = element.front() == '[';
    texts.list = texts.list && (tokens || element.front() == '"');
    if (tokens) {
      texts.numbers = std::max(texts.numbers, count_numbers(element));
    } else {
      texts.bytes = std::max(texts.bytes, element.size());
    }
  }
  if (numbers || messages) {
    return {.count = 1,
            .list = false,
            .bytes = member.text_bytes,
            .numbers = numbers ? count_numbers(member.value) : 0};
  }
  texts.count = std::max<std::int64_t>(1, texts.count);
  return texts;
}

// Whose texts all go into the prompt.
bool is_prompt_part(std::string_view key) {
  return key == "messages" || key == "system" || key == "instructions" || key == "suffix" ||
         key == "query" || key == "input_prefix" || key == "input_suffix";
}

bool is_tools(std::string_view key) {
  return key == "tools" || key == "functions";
}

void take_texts(const JsonMember& member, std::string_view body, BodyFacts& facts) {
  const Texts texts = read_texts(member);
  const bool list = member.key == "input" && texts.count > 1 && texts.list;
  facts.texts = texts.count;
  facts.input_at = list ? static_cast<std::size_t>(member.value.data() - body.data()) : 0;
  facts.input_bytes = list ? member.value.size() : 0;
  facts.prompt_bytes += texts.bytes;
  facts.context_needed = static_cast<std::int32_t>(
      std::min<std::int64_t>(texts.numbers, std::numeric_limits<std::int32_t>::max()));
}

ApiResult<BodyFacts> read_json(std::string_view body) {
  if (auto error = check_utf8(body))
    return std::unexpected(std::move(*error));
  JsonObjectReader reader(body, static_cast<std::size_t>(kJsonDepthMax));
  JsonMember member;
  BodyFacts facts;
  std::string_view model;
  std::string decoded;
  while (reader.next(member)) {
    std::string_view key = member.key;
    if (key.find('\\') != std::string_view::npos) {
      decoded = unescape_json(key).value_or(std::string());
      key = decoded;
    }
    if (key == "model") {
      model = member.value;
    } else if (key == "stream") {
      facts.stream = member.value == "true";
    } else if (is_token_limit(key)) {
      facts.max_tokens = token_count(member.value);
    } else if (key == "n") {
      facts.choices = token_count(member.value);
    } else if (is_prompt_part(key)) {
      facts.prompt_bytes += member.text_bytes;
      facts.media = facts.media || member.media;
    } else if (is_tools(key)) {
      facts.prompt_bytes += member.value.size();  // templates write them out, keys and all
    } else if (key == "input" || key == "prompt" || key == "documents") {
      take_texts(member, body, facts);
      facts.media = facts.media || member.media;
    } else if (member.media) {
      facts.media = true;
    }
  }
  if (const auto& fault = reader.fault()) {
    return deny(400, fault->too_deep ? "json_too_deep" : "invalid_json",
                "The request's body is not a JSON object that can be used: " +
                    std::string(fault->why) + " (byte " + std::to_string(fault->offset) + ").");
  }
  if (model.empty())
    return no_model();
  auto name = model_value(model);
  if (!name)
    return std::unexpected(std::move(name.error()));
  facts.model = std::move(*name);
  return facts;
}

ApiResult<BodyFacts> read_form(std::string_view content_type, std::string_view body) {
  const auto boundary = form_boundary(content_type);
  if (!boundary) {
    return deny(400, "invalid_form", "The request's Content-Type names no usable form boundary.");
  }
  BodyFacts facts;
  std::optional<std::string_view> model;
  const auto problem =
      scan_form(body, *boundary, [&](std::string_view name, std::string_view content) {
        if (name == "model")
          model = content;
        if (name == "stream")
          facts.stream = content == "true" || content == "1";
      });
  if (problem) {
    return deny(400, "invalid_form", "The request's form cannot be read: " + *problem + ".");
  }
  if (!model)
    return no_model();
  if (model->size() <= kModelNameBytesMax) {
    if (auto error = check_utf8(*model))
      return std::unexpected(std::move(*error));
  }
  auto name = checked_model(std::string(model->substr(0, kModelNameBytesMax + 1)));
  if (!name)
    return std::unexpected(std::move(name.error()));
  facts.model = std::move(*name);
  return facts;
}

}  // namespace

ApiResult<BodyFacts> read_body(std::string_view content_type, std::string_view body) {
  return is_form(content_type) ? read_form(content_type, body) : read_json(body);
}

}  // namespace tonnage::api
