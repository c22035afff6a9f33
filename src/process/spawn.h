// spawn: starts one program the way every program of ours is started; it dies with the daemon.
#pragma once

#include <errno.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_handle.h"
#include "base/result.h"
#include "process/exit_status.h"

namespace tonnage {

struct SpawnRequest {
  std::vector<std::string>
      argv;                      // argv[0] is a path; PATH is not searched and no shell is involved
  std::vector<std::string> env;  // "NAME=value"; nothing else is inherited
  int out = -1;                  // becomes its standard output
  int err = -1;                  // becomes its standard error
  int nice = 0;                  // added to the daemon's own niceness
};

struct Spawned {
  pid_t pid = 0;     // also its process group
  FileHandle pidfd;  // readable once it has ended
};

// Returns when the program runs or could not be started; the time in between is that of one
// fork and exec. The program gets a process group of its own, no descriptor but 0-2 (0 is
// /dev/null), default signal handlers, no core file, an OOM score that makes the kernel take it
// before the daemon, and SIGKILL as soon as the *calling thread* ends: call it on the loop's
// thread.
Result<Spawned> spawn(const SpawnRequest& request);

// Sends `signal` to the process and everything it left in its group. Call before reap(), while the
// number cannot belong to anyone else.
void signal_group(const Spawned& process, int signal);

// Whether it has ended and waits to be reaped. To be asked after each wake-up on its pidfd: the
// reactor may pass on one that was meant for an earlier descriptor.
bool has_ended(const Spawned& process);

// Collects the exit status of a process that has ended. Kills what is left of its group.
ExitStatus reap(const Spawned& process);

// Both ends close-on-exec, the read end non-blocking.
struct Pipe {
  FileHandle read_end;
  FileHandle write_end;
};
Result<Pipe> open_pipe();

// How the output of a started program is read.
inline constexpr std::size_t kReadBytes = 16 * 1024;
// Per wake-up, so that a program that prints without end leaves time for the others.
inline constexpr int kReadsPerWake = 4;
// After the exit, all that a pipe can hold (64 KiB by default, 1 MiB at most).
inline constexpr int kReadsAtEnd = 64;
inline constexpr int kEndWaitMs = 1000;

// Hands over what there is to read, a piece at a time, at most so many. False at the end of the
// stream.
template <typename Take>
bool read_pieces(int fd, int reads_max, Take take) {
  std::array<char, kReadBytes> buffer;
  for (int i = 0; i < reads_max; ++i) {
    const auto count = ::read(fd, buffer.data(), buffer.size());
    if (count == 0)
      return false;
    if (count < 0)
      return errno == EAGAIN || errno == EINTR;
    take(std::string_view(buffer.data(), static_cast<std::size_t>(count)));
  }
  return true;
}

}  // namespace tonnage
