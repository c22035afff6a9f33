// classify_exit: what a server's exit status, the kernel and its last words say about why it ended.
#pragma once

#include <span>
#include <string_view>

#include "core/types.h"
#include "engine/exit_status.h"

namespace vramd {

struct FailurePattern {
  FailureKind kind;
  std::string_view text;  // a substring of a line, lower case
};

// In order of weight: the first row that matches any line decides.
std::span<const FailurePattern> failure_patterns();

// `killed_by_kernel`: an OOM kill was counted about when the server ended. `last_lines`: oldest
// first.
Failure classify_exit(ExitStatus status, bool killed_by_kernel,
                      std::span<const std::string_view> last_lines);

}  // namespace vramd
