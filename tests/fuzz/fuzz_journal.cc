// Lines of a journal: what is read can be written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "journal/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)tonnage::journal::decode_header(text);
  const auto step = tonnage::journal::decode_step(text);
  if (!step)
    return 0;
  std::string line;
  tonnage::journal::encode_step(step->number, step->at, step->event, step->actions, line);
  const auto again = tonnage::journal::decode_step(line);
  if (!again || *again != *step)
    std::abort();
  return 0;
}
