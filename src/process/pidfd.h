// Pidfds: handles that name one process for good, however its number is used later.
#pragma once

#include <signal.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/file_handle.h"

namespace tonnage {

// System calls, because the wrappers of glibc 2.36 cannot be linked from C++.
inline FileHandle open_pidfd(pid_t pid) {
  return FileHandle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U)));
}
inline bool signal_pidfd(const FileHandle& pidfd, int signal) {
  return ::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0U) == 0;
}

}  // namespace tonnage
