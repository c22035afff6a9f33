// FailureDetail: the numbers in what a server said when memory ran out.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace tonnage {

// What the words tell; the rest is empty.
struct FailureDetail {
  std::optional<Bytes> needed;                // that could not be had
  std::optional<Bytes> available;             // that was there, by the server's own count
  std::optional<int> device;                  // as the server counts its devices
  std::optional<std::int64_t> context;        // tokens that it has, or says would fit
  std::optional<std::int64_t> prompt_tokens;  // that were too many for it

  friend bool operator==(const FailureDetail&, const FailureDetail&) = default;
};

// Of one line, or of the body of an answer.
FailureDetail read_failure_detail(std::string_view text);
// Of the last of these lines that name an amount; a device that only an earlier one names counts
// too. Oldest first.
FailureDetail read_failure_detail(std::span<const std::string_view> lines);

// "4.00 GiB on device 0, 1.60 GiB free"; empty where there is nothing to say.
std::string to_text(const FailureDetail& detail);

}  // namespace tonnage
