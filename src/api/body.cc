#include "api/body.h"

#include <algorithm>
#include <charconv>

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

// How many texts a value of `input` and the like holds. A list in which a number stands is one
// text, given as its tokens or mixed of both.
std::int64_t count_texts(std::string_view value) {
  if (!value.starts_with('['))
    return 1;
  JsonArrayReader reader(value.substr(1, value.size() - 2));
  std::string_view element;
  std::int64_t count = 0;
  while (reader.next(element)) {
    if (element.front() == '-' || (element.front() >= '0' && element.front() <= '9'))
      return 1;
    ++count;
  }
  return std::max<std::int64_t>(1, count);
}

bool is_list_of_texts(std::string_view value) {
  if (!value.starts_with('['))
    return false;
  JsonArrayReader reader(value.substr(1, value.size() - 2));
  std::string_view element;
  while (reader.next(element)) {
    if (element.front() != '"' && element.front() != '[')
      return false;
  }
  return true;
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
    } else if (key == "input" || key == "prompt" || key == "documents") {
      facts.texts = count_texts(member.value);
      const bool list = key == "input" && facts.texts > 1 && is_list_of_texts(member.value);
      facts.input_at = list ? static_cast<std::size_t>(member.value.data() - body.data()) : 0;
      facts.input_bytes = list ? member.value.size() : 0;
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
