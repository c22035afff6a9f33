#include "tonnage/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace tonnage {
namespace {

// Of the first write that failed: later calls say something else.
int first_error = 0;

// Why an earlier write of the library failed, which keeps no reason: another one fails likewise.
int error_of_another_write() {
  errno = 0;
  return ::write(STDOUT_FILENO, "\n", 1) < 0 && errno != 0 ? errno : EIO;
}

bool flush() {
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  const int error = errno;
  const bool good = flushed && std::ferror(stdout) == 0;
  if (!good && first_error == 0)
    first_error = !flushed && error != 0 ? error : error_of_another_write();
  return good;
}

}  // namespace

void prepare_output() {
  first_error = 0;
  std::clearerr(stdout);
  std::signal(SIGPIPE, SIG_IGN);
  // open() gives the lowest free number, which is that of the stream. It may not be written to.
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0) [[maybe_unused]]
      const int held = ::open("/dev/null", O_RDONLY);
  }
}

bool print_now(std::string_view text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() && first_error == 0)
    first_error = errno != 0 ? errno : EIO;
  return flush();
}

ExitCode finish_output(ExitCode code) {
  flush();
  if (first_error == 0)
    return code;
  if (first_error != EPIPE)
    complain({ExitCode::failed,
              std::string("standard output cannot be written: ") + std::strerror(first_error)});
  return code == ExitCode::ok ? ExitCode::failed : code;
}

}  // namespace tonnage
