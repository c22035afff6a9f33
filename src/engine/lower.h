// to_lower: ASCII letters only, because the words of programs are compared, not those of people.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace vramd {

inline std::string to_lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

}  // namespace vramd
