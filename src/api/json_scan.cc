#include "api/json_scan.h"

#include <algorithm>
#include <bit>
#include <bitset>
#include <cstring>

namespace tonnage::api {
namespace {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

constexpr std::int32_t hex_digit_value(char c) {
  if (is_digit(c))
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

// How many of the eight bytes at `text` come before the first quote, backslash or control
// character; 8 when there is none. The classic zero-byte test on words: what it flags above the
// first true hit may be false, the lowest flag never is.
int plain_bytes(const char* text) {
  std::uint64_t word = 0;
  std::memcpy(&word, text, 8);
  if constexpr (std::endian::native == std::endian::big)
    word = __builtin_bswap64(word);
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kHigh = 0x8080808080808080;
  const std::uint64_t quote = word ^ (kOnes * '"');
  const std::uint64_t backslash = word ^ (kOnes * '\\');
  const std::uint64_t flags = (((quote - kOnes) & ~quote) | ((backslash - kOnes) & ~backslash) |
                               ((word - kOnes * 0x20) & ~word)) &
                              kHigh;
  return std::countr_zero(flags) / 8;
}

// The steps of the scan take a position and give the one after what they read; null at a fault,
// which is then in `fault`. Positions travel in registers: this is the hot path of every request.
struct Scan {
  const char* end;
  const char* fault_at = nullptr;
  std::string_view fault_why;
  std::string_view key;        // the last one
  std::size_t text_bytes = 0;  // of the values that are strings
  std::size_t escapes = 0;     // bytes that escapes take beyond what they stand for
  bool media = false;

  const char* stop(const char* at, std::string_view why) {
    fault_at = at;
    fault_why = why;
    return nullptr;
  }
};

inline const char* skip_space(const Scan& scan, const char* at) {
  if (at != scan.end && *at > ' ')
    return at;  // one comparison for what is nearly always there
  while (at != scan.end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
    ++at;
  return at;
}

const char* skip_escape(Scan& scan, const char* at) {
  ++at;
  if (at == scan.end)
    return scan.stop(at, "the text ends inside a string");
  if (*at != 'u') {
    constexpr std::string_view kNames = "\"\\/bfnrt";
    if (kNames.find(*at) == std::string_view::npos) {
      return scan.stop(at, "a backslash is followed by what is no escape");
    }
    ++scan.escapes;
    return at + 1;
  }
  scan.escapes += 3;  // most characters that are written so take three bytes
  ++at;
  for (int digit = 0; digit < 4; ++digit, ++at) {
    if (at == scan.end)
      return scan.stop(at, "the text ends inside a string");
    if (hex_digit_value(*at) < 0)
      return scan.stop(at, "\\u needs four hexadecimal digits");
  }
  return at;
}

// At an opening quote.
inline const char* skip_string(Scan& scan, const char* at) {
  ++at;
  while (true) {
    while (scan.end - at >= 8) {
      const int plain = plain_bytes(at);
      at += plain;
      if (plain < 8)
        break;
    }
    // Near the end of the text no whole word is left to look at.
    while (at != scan.end && *at != '"' && *at != '\\' && static_cast<unsigned char>(*at) >= 0x20) {
      ++at;
    }
    if (at == scan.end)
      return scan.stop(at, "the text ends inside a string");
    if (*at == '"')
      return at + 1;
    if (*at != '\\')
      return scan.stop(at, "a control character in a string must be escaped");
    at = skip_escape(scan, at);
    if (at == nullptr)
      return nullptr;
  }
}

const char* skip_digits(Scan& scan, const char* at) {
  if (at == scan.end || !is_digit(*at))
    return scan.stop(at, "a digit is missing here");
  while (at != scan.end && is_digit(*at))
    ++at;
  return at;
}

const char* skip_number(Scan& scan, const char* at) {
  if (*at == '-')
    ++at;
  if (at != scan.end && *at == '0') {
    ++at;
  } else {
    at = skip_digits(scan, at);
  }
  if (at != nullptr && at != scan.end && *at == '.')
    at = skip_digits(scan, at + 1);
  if (at != nullptr && at != scan.end && (*at == 'e' || *at == 'E')) {
    ++at;
    if (at != scan.end && (*at == '+' || *at == '-'))
      ++at;
    at = skip_digits(scan, at);
  }
  return at;
}

const char* skip_word(Scan& scan, const char* at, std::string_view word) {
  if (static_cast<std::size_t>(scan.end - at) < word.size() ||
      std::string_view(at, word.size()) != word) {
    return scan.stop(at, "a value is missing here");
  }
  return at + word.size();
}

// Data that takes the place of a text: a data URL, or base64 under one of the keys of OpenAI's,
// Anthropic's and Ollama's messages. Short ones are not worth a look.
bool is_media(std::string_view key, std::string_view text) {
  constexpr std::size_t kShort = 256;
  return text.size() >= kShort &&
         (text.starts_with("data:") || key == "data" || key == "images" || key == "file_data");
}

inline const char* skip_text(Scan& scan, const char* at) {
  const std::size_t escapes = scan.escapes;
  const char* const behind = skip_string(scan, at);
  if (behind == nullptr)
    return nullptr;
  const std::string_view text(at + 1, static_cast<std::size_t>(behind - at) - 2);
  if (is_media(scan.key, text)) {
    scan.media = true;
  } else {
    scan.text_bytes += text.size() - (scan.escapes - escapes);
  }
  return behind;
}

inline const char* skip_scalar(Scan& scan, const char* at) {
  switch (*at) {
    case '"':
      return skip_text(scan, at);
    case 't':
      return skip_word(scan, at, "true");
    case 'f':
      return skip_word(scan, at, "false");
    case 'n':
      return skip_word(scan, at, "null");
    default:
      if (*at == '-' || is_digit(*at))
        return skip_number(scan, at);
      return scan.stop(at, "a value is missing here");
  }
}

// A key and its colon, spaces before and between.
inline const char* skip_key(Scan& scan, const char* at) {
  at = skip_space(scan, at);
  if (at == scan.end)
    return scan.stop(at, "the text ends inside an object");
  if (*at != '"')
    return scan.stop(at, "a key in double quotes is missing here");
  const char* const begin = at + 1;
  at = skip_string(scan, at);
  if (at == nullptr)
    return nullptr;
  scan.key = std::string_view(begin, static_cast<std::size_t>(at - begin) - 1);
  at = skip_space(scan, at);
  if (at == scan.end)
    return scan.stop(at, "the text ends inside an object");
  if (*at != ':')
    return scan.stop(at, "a colon is missing here");
  return at + 1;
}

constexpr std::string_view kTooDeep = "it is nested too deep here";

// One value with all that is inside it. A loop instead of recursion: depth comes from outside.
const char* skip_value(Scan& scan, const char* at, std::size_t depth_max) {
  std::bitset<JsonObjectReader::kDepthLimit> objects;  // which of the open containers are objects
  std::size_t depth = 0;
  while (true) {
    at = skip_space(scan, at);
    if (at == scan.end)
      return scan.stop(at, "the text ends where a value should be");
    if (*at == '{' || *at == '[') {
      const bool object = *at == '{';
      // The outermost object counts as a level of its own.
      if (depth + 1 >= depth_max)
        return scan.stop(at, kTooDeep);
      objects[depth++] = object;
      at = skip_space(scan, at + 1);
      if (at == scan.end || *at != (object ? '}' : ']')) {
        if (object)
          at = skip_key(scan, at);
        if (at == nullptr)
          return nullptr;
        continue;
      }
    } else {
      at = skip_scalar(scan, at);
      if (at == nullptr)
        return nullptr;
    }
    // A value, or an empty container, ends here: close what ends with it.
    while (depth > 0) {
      at = skip_space(scan, at);
      if (at == scan.end)
        return scan.stop(at, "the text ends inside an array or object");
      const bool object = objects[depth - 1];
      if (*at == (object ? '}' : ']')) {
        ++at;
        --depth;
        continue;
      }
      if (*at != ',') {
        return scan.stop(
            at, object ? "a comma or '}' is missing here" : "a comma or ']' is missing here");
      }
      ++at;
      if (object)
        at = skip_key(scan, at);
      if (at == nullptr)
        return nullptr;
      break;
    }
    if (depth == 0)
      return at;
  }
}

}  // namespace

JsonObjectReader::JsonObjectReader(std::string_view text, std::size_t depth_max)
    : begin_(text.data()),
      at_(begin_),
      end_(begin_ + text.size()),
      depth_max_(std::min(depth_max, kDepthLimit)) {
  if (text.starts_with("\xEF\xBB\xBF"))
    at_ += 3;
}

bool JsonObjectReader::stop(const char* at, std::string_view why) {
  fault_ = JsonFault{static_cast<std::size_t>(at - begin_), why, why == kTooDeep};
  return false;
}

// Up to where the next key begins; false when there is none.
bool JsonObjectReader::seek_key() {
  Scan scan{end_};
  at_ = skip_space(scan, at_);
  if (stage_ == Stage::before) {
    if (at_ == end_)
      return stop(at_, "it is empty");
    if (*at_ != '{')
      return stop(at_, "it is not an object");
    stage_ = Stage::members;
    at_ = skip_space(scan, at_ + 1);
    if (at_ == end_ || *at_ != '}')
      return true;
  } else {
    if (at_ == end_)
      return stop(at_, "the text ends inside an object");
    if (*at_ == ',') {
      at_ = skip_space(scan, at_ + 1);
      return true;
    }
    if (*at_ != '}')
      return stop(at_, "a comma or '}' is missing here");
  }
  at_ = skip_space(scan, at_ + 1);
  stage_ = Stage::done;
  if (at_ != end_)
    stop(at_, "something follows the end of the object");
  return false;
}

bool JsonObjectReader::next(JsonMember& member) {
  if (fault_ || stage_ == Stage::done || !seek_key())
    return false;
  Scan scan{end_};
  const char* const key = at_;
  const char* value = skip_key(scan, key);
  if (value == nullptr)
    return stop(scan.fault_at, scan.fault_why);
  member.key = scan.key;
  value = skip_space(scan, value);
  at_ = skip_value(scan, value, depth_max_);
  if (at_ == nullptr)
    return stop(scan.fault_at, scan.fault_why);
  member.value = std::string_view(value, static_cast<std::size_t>(at_ - value));
  member.text_bytes = scan.text_bytes;
  member.media = scan.media;
  return true;
}

bool JsonArrayReader::next(std::string_view& element) {
  Scan scan{end_};
  at_ = skip_space(scan, at_);
  if (at_ != end_ && *at_ == ',')
    at_ = skip_space(scan, at_ + 1);
  if (at_ == end_)
    return false;
  const char* const begin = at_;
  const char* const behind = skip_value(scan, begin, JsonObjectReader::kDepthLimit);
  at_ = behind == nullptr ? end_ : behind;
  element = std::string_view(begin, static_cast<std::size_t>(at_ - begin));
  return behind != nullptr;
}

namespace {

void append_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

std::optional<std::uint32_t> four_digits(std::string_view text) {
  if (text.size() < 4)
    return std::nullopt;
  std::uint32_t code = 0;
  for (const char c : text.substr(0, 4)) {
    const std::int32_t digit = hex_digit_value(c);
    if (digit < 0)
      return std::nullopt;
    code = code * 16 + static_cast<std::uint32_t>(digit);
  }
  return code;
}

// After "\u"; takes the digits, and those of the other half of a pair, off the text.
std::optional<std::uint32_t> take_code_point(std::string_view& text) {
  const auto first = four_digits(text);
  if (!first)
    return std::nullopt;
  text.remove_prefix(4);
  if (*first < 0xD800 || *first > 0xDFFF)
    return first;
  if (*first > 0xDBFF || !text.starts_with("\\u"))
    return std::nullopt;
  const auto second = four_digits(text.substr(2));
  if (!second || *second < 0xDC00 || *second > 0xDFFF)
    return std::nullopt;
  text.remove_prefix(6);
  return 0x10000 + ((*first - 0xD800) << 10) + (*second - 0xDC00);
}

}  // namespace

std::optional<std::string> unescape_json(std::string_view text) {
  std::string out;
  while (true) {
    const std::size_t backslash = text.find('\\');
    out += text.substr(0, backslash);
    if (backslash == std::string_view::npos)
      return out;
    text.remove_prefix(backslash + 1);
    if (text.empty())
      return std::nullopt;
    const char c = text.front();
    text.remove_prefix(1);
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kValues = "\"\\/\b\f\n\r\t";
    if (c == 'u') {
      const auto code = take_code_point(text);
      if (!code)
        return std::nullopt;
      append_utf8(out, *code);
    } else if (const std::size_t at = kNames.find(c); at != std::string_view::npos) {
      out += kValues[at];
    } else {
      return std::nullopt;
    }
  }
}

}  // namespace tonnage::api
