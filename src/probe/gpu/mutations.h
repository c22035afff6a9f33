// mutated(): what a parser may be handed instead of the text that it expects, for tests.
#pragma once

#include <cstddef>
#include <string>

#include "base/prng.h"

namespace tonnage {

// Cuts, repeats, overwrites and swaps parts of `text`, one to four times.
inline std::string mutated(std::string text, Prng& random) {
  const std::size_t changes = 1 + random.below(4);
  for (std::size_t i = 0; i < changes && !text.empty(); ++i) {
    const std::size_t at = random.below(text.size());
    const std::size_t length = 1 + random.below(text.size() - at);
    switch (random.below(4)) {
      case 0:
        text.erase(at, length);
        break;
      case 1:
        text.insert(at, text.substr(at, length));
        break;
      case 2:
        text[at] = static_cast<char>(random.below(256));
        break;
      default:
        text.replace(at, length, random.below(2) == 0 ? "-9223372036854775809" : ",[]{}:\n\"");
        break;
    }
  }
  return text;
}

}  // namespace tonnage
