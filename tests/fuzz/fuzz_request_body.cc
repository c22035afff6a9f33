// Bodies of requests, as JSON and as a form: any bytes give facts or an error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/body.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)tonnage::api::read_body("application/json", text);
  (void)tonnage::api::read_body("multipart/form-data; boundary=xx", text);
  return 0;
}
