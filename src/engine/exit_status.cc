#include "engine/exit_status.h"

#include <string.h>

namespace vramd {

std::string to_text(ExitStatus status) {
  if (status.signal == 0)
    return "exit status " + std::to_string(status.code);
  std::string out = "killed by signal " + std::to_string(status.signal);
  if (const char* name = ::sigabbrev_np(status.signal))
    out += std::string(" (SIG") + name + ")";
  return out;
}

}  // namespace vramd
