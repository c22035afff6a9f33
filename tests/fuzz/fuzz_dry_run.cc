// What the dry run prints: any text gives numbers or an error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "footprint/dry_run.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)tonnage::parse_dry_run(text);
  (void)tonnage::dry_run_failure(text);
  return 0;
}
