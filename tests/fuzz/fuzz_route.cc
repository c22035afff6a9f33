// Request targets: any bytes give a route or an error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/route.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto is_model = [](std::string_view name) { return name.size() % 2 == 0; };
  for (const char* method : {"GET", "POST", "PUT", "DELETE", "OPTIONS"})
    (void)tonnage::api::route(method, text, is_model);
  return 0;
}
