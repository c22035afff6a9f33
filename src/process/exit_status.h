// ExitStatus: how a process came to its end.
#pragma once

#include <string>

namespace tonnage {

struct ExitStatus {
  int code = 0;    // of exit(); meaningless when signal is not 0
  int signal = 0;  // that ended it; 0 when it ended by itself

  bool clean() const { return code == 0 && signal == 0; }

  friend bool operator==(const ExitStatus&, const ExitStatus&) = default;
};

// The signal that ended it, or what it ran: shells and container runtimes end with 128 plus the
// signal that ended theirs. 0 where there was none.
int signal_of(ExitStatus status);

// "exit status 1", "killed by signal 11 (SIGSEGV)".
std::string to_text(ExitStatus status);

}  // namespace tonnage
