// What a server says of its slots: any text gives a count or nothing.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/slots.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)tonnage::count_busy_slots(text);
  return 0;
}
