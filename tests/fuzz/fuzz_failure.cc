// What a server says when it ends or fails: any text gets a class and numbers that make sense.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "engine/failure_class.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string_view> lines;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  (void)tonnage::classify_exit({.code = 1}, false, lines);
  const auto answer = tonnage::classify_answer(500, text, lines);
  const auto needed = answer.detail.needed.value_or(tonnage::Bytes{});
  TONNAGE_CHECK(needed >= tonnage::Bytes{} && needed.count <= std::int64_t{1} << 50,
                "an amount is one that a machine could have");
  return 0;
}
