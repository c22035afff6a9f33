#include "engine/slots.h"

#include <cstddef>

namespace tonnage {
namespace {

constexpr std::string_view kKey = "is_processing";
constexpr int kSlotDepth = 2;  // [ { here } ]

// The string that begins at the quote at `i`, without its quotes; `i` moves behind it.
std::optional<std::string_view> take_string(std::string_view json, std::size_t& i) {
  const std::size_t begin = ++i;
  while (i < json.size() && json[i] != '"')
    i += json[i] == '\\' ? 2U : 1U;
  if (i >= json.size())
    return std::nullopt;
  return json.substr(begin, i++ - begin);
}

void skip_spaces(std::string_view json, std::size_t& i) {
  i = json.find_first_not_of(" \t\r\n", i);
  if (i == std::string_view::npos)
    i = json.size();
}

}  // namespace

std::optional<int> count_busy_slots(std::string_view json) {
  std::size_t i = 0;
  skip_spaces(json, i);
  if (i >= json.size() || json[i] != '[')
    return std::nullopt;
  int depth = 0;
  int slots = 0;
  int told = 0;
  int busy = 0;
  while (i < json.size()) {
    const char c = json[i];
    if (c == '"') {
      const auto text = take_string(json, i);
      if (!text)
        return std::nullopt;
      skip_spaces(json, i);
      if (depth != kSlotDepth || *text != kKey || i >= json.size() || json[i] != ':')
        continue;
      skip_spaces(json, ++i);
      const bool working = json.substr(i).starts_with("true");
      if (!working && !json.substr(i).starts_with("false"))
        return std::nullopt;
      ++told;
      busy += working ? 1 : 0;
      continue;
    }
    if (c == '[' || c == '{') {
      ++depth;
      if (c == '{' && depth == kSlotDepth)
        ++slots;
    } else if (c == ']' || c == '}') {
      --depth;
      if (depth == 0)
        return told == slots ? std::optional<int>(busy) : std::nullopt;
    }
    ++i;
  }
  return std::nullopt;  // it ends too early
}

}  // namespace tonnage
