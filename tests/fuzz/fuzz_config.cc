// Configuration files: any text gives a Config or problems.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/load.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  tonnage::ConfigInputs inputs;
  inputs.file_name = "tonnage.yaml";
  inputs.yaml = std::string(text);
  inputs.file_folder = "/etc/tonnage";
  inputs.working_folder = "/";
  (void)tonnage::parse_config(inputs);
  return 0;
}
