// Model files: any bytes, cut anywhere, give a header or an error.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "footprint/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto read_at = [&](std::uint64_t offset, char* out, std::size_t wanted) {
    if (offset >= size)
      return std::size_t{0};
    const std::size_t count = std::min<std::size_t>(wanted, size - offset);
    std::memcpy(out, data + offset, count);
    return count;
  };
  (void)tonnage::parse_gguf("input", text.size(), read_at);
  // As if the file had been longer when its size was asked for.
  (void)tonnage::parse_gguf("input", text.size() * 1000, read_at);
  return 0;
}
