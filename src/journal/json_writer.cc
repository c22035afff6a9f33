#include "journal/json_writer.h"

namespace tonnage::journal {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

// Length of the well-formed UTF-8 sequence that `text` starts with; zero when there is none. The
// bounds of the second byte keep out overlong forms, surrogates and what lies beyond U+10FFFF.
std::size_t sequence_at(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80)
    return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length)
    return 0;
  const auto second = static_cast<unsigned char>(text[1]);
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
      (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F))
    return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (!is_continuation(text[i]))
      return 0;
  }
  return length;
}

bool is_plain(char c) {
  return static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x80 &&
         c != '"' && c != '\\';
}

void put_control(char c, std::string& out) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const auto code = static_cast<unsigned char>(c);
  out += "\\u00";
  out += kDigits[code >> 4U];
  out += kDigits[code & 0xFU];
}

}  // namespace

void JsonWriter::put(std::string_view text) {
  out_ += '"';
  while (!text.empty()) {
    std::size_t plain = 0;
    while (plain < text.size() && is_plain(text[plain]))
      ++plain;
    out_ += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty())
      break;
    const char c = text[0];
    std::size_t taken = 1;
    if (c == '"' || c == '\\') {
      out_ += '\\';
      out_ += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      put_control(c, out_);
    } else if (const std::size_t length = sequence_at(text); length > 0) {
      out_ += text.substr(0, length);
      taken = length;
    } else {
      out_ += kReplacement;
    }
    text.remove_prefix(taken);
  }
  out_ += '"';
}

}  // namespace tonnage::journal
