// How nvidia-smi is run: with a time limit that also holds when it hangs in the driver.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "probe/gpu/nvidia_smi.h"

namespace tonnage {
namespace {

using Clock = std::chrono::steady_clock;

// After SIGKILL a process is gone at once, unless a driver holds it.
constexpr int kDeathMs = 1'000;

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { close(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0)
      ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

std::string reason(int code) {
  return std::generic_category().message(code);
}

int left_ms(Clock::time_point deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return left < 0 ? 0 : static_cast<int>(left) + 1;
}

bool readable(int fd, int timeout_ms) {
  pollfd poll{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&poll, 1, timeout_ms) > 0;
}

// Both streams of the program go into one pipe: what it says of a failure is on either.
int spawn(const std::vector<std::string>& argv, int out, ::pid_t& pid) {
  std::vector<char*> words;
  for (const std::string& word : argv)
    words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  ::posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
  const int error = ::posix_spawnp(&pid, words[0], &actions, nullptr, words.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  return error;
}

enum class Read : std::uint8_t { all, late, too_much };

Read read_all(int fd, Clock::time_point deadline, std::size_t bytes_max, std::string& text) {
  std::array<char, 4096> buffer;
  while (true) {
    if (Clock::now() >= deadline)
      return Read::late;
    if (!readable(fd, left_ms(deadline)))
      continue;
    const ::ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return Read::all;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > bytes_max)
      return Read::too_much;
  }
}

// Whether the process ended within the time, and how.
bool wait_for(::pid_t pid, int timeout_ms, int& status) {
  const Fd handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (handle.get() >= 0)
    readable(handle.get(), timeout_ms);
  return ::waitpid(pid, &status, handle.get() >= 0 ? WNOHANG : 0) == pid;
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find_first_of("\r\n")).substr(0, 200);
}

}  // namespace

QuickProgram::~QuickProgram() {
  stuck();
}

bool QuickProgram::stuck() {
  if (stuck_ != 0 && ::waitpid(stuck_, nullptr, WNOHANG) != 0)
    stuck_ = 0;
  return stuck_ != 0;
}

Result<std::string> QuickProgram::run(const std::vector<std::string>& argv,
                                      std::chrono::milliseconds timeout,
                                      std::size_t output_bytes_max) {
  const std::string& program = argv.front();
  if (stuck())
    return fail("cannot run", program, "the one before it hangs and cannot be ended");
  const auto deadline = Clock::now() + timeout;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return fail("cannot run", program, reason(errno));
  const Fd from(ends[0]);
  Fd to(ends[1]);
  ::pid_t pid = 0;
  if (const int error = spawn(argv, to.get(), pid); error != 0)
    return fail("cannot run", program, reason(error));
  to.close();
  std::string text;
  const Read read = read_all(from.get(), deadline, output_bytes_max, text);
  int status = 0;
  const bool ended = read == Read::all && wait_for(pid, left_ms(deadline), status);
  if (!ended) {
    ::kill(pid, SIGKILL);
    if (!wait_for(pid, kDeathMs, status))
      stuck_ = pid;
    return fail("cannot use", program,
                read == Read::too_much
                    ? "it printed more than " + std::to_string(output_bytes_max) + " bytes"
                    : "no answer within " + std::to_string(timeout.count()) + " ms");
  }
  if (WIFSIGNALED(status))
    return fail("cannot use", program,
                "it was ended by signal " + std::to_string(WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0)
    return fail(
        "cannot use", program,
        "it ended with status " + std::to_string(WEXITSTATUS(status)) + ": " + first_line(text));
  return text;
}

}  // namespace tonnage
