#include "process/exit_status.h"

#include <string.h>

namespace tonnage {

int signal_of(ExitStatus status) {
  constexpr int kBase = 128, kSignalsMax = 64;
  if (status.signal != 0)
    return status.signal;
  const int number = status.code - kBase;
  return number > 0 && number <= kSignalsMax ? number : 0;
}

std::string to_text(ExitStatus status) {
  if (status.signal == 0)
    return "exit status " + std::to_string(status.code);
  std::string out = "killed by signal " + std::to_string(status.signal);
  if (const char* name = ::sigabbrev_np(status.signal))
    out += std::string(" (SIG") + name + ")";
  return out;
}

}  // namespace tonnage
