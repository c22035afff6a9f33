#include "process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "base/check.h"
#include "base/descriptors.h"

// The child below shares our memory until it execs, as with vfork: it must not be instrumented.
#define TONNAGE_IN_CHILD __attribute__((no_sanitize("address", "undefined", "thread"), noinline))

namespace tonnage {
namespace {

// How much sooner than the daemon the kernel should take a server, of 1000.
constexpr int kOomScoreRaise = 500;
constexpr int kOomScoreMax = 1000;
constexpr std::size_t kChildStackBytes = 64 * 1024;
// Descriptors that are marked one by one where nothing lists them: some milliseconds.
constexpr rlim_t kNumbersTriedMax = 65536;

// rt_sigaction's own struct, all zero: SIG_DFL, no flags, empty mask. The system call is used
// directly because the library's wrapper may keep books in memory that the child shares with us.
struct DefaultAction {
  std::array<unsigned long, 4> words{};
};
constexpr std::size_t kKernelSigsetBytes = 8;

struct ChildPlan {
  const char* program = nullptr;
  char* const* argv = nullptr;
  char* const* env = nullptr;
  int in = -1;
  int out = -1;
  int err = -1;
  int nice = 0;
  pid_t parent = 0;
  std::array<char, 8> oom_score{};
  std::size_t oom_score_length = 0;
  // Written by the child, read by the parent once the child has execed or ended.
  const char* failed_step = nullptr;
  int failed_errno = 0;
};

TONNAGE_IN_CHILD void reset_signals() {
  const DefaultAction action;
  for (int signal = 1; signal < NSIG; ++signal) {
    ::syscall(SYS_rt_sigaction, signal, &action, nullptr, kKernelSigsetBytes);
  }
  const std::uint64_t none = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, kKernelSigsetBytes);
}

TONNAGE_IN_CHILD int child_fails(ChildPlan& plan, const char* step) {
  plan.failed_step = step;
  plan.failed_errno = errno;
  ::_exit(127);
}

// What getdents64 fills in: the library's reader of folders allocates.
struct FolderEntry {
  std::uint64_t inode;
  std::int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[1];
};

// Marks what the listing of /proc/self/fd names. False where there is none.
TONNAGE_IN_CHILD bool close_listed_on_exec() {
  const int folder = ::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0)
    return false;
  alignas(FolderEntry) char buffer[4096];
  for (;;) {
    const long size = ::syscall(SYS_getdents64, folder, buffer, sizeof(buffer));
    if (size <= 0) {
      ::close(folder);
      return size == 0;
    }
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const FolderEntry*>(buffer + at);
      int fd = 0;
      const char* digit = entry->name;
      for (; *digit >= '0' && *digit <= '9'; ++digit)
        fd = fd * 10 + (*digit - '0');
      if (*digit == '\0' && fd > 2)
        ::fcntl(fd, F_SETFD, FD_CLOEXEC);
      at += entry->length;
    }
  }
}

// close_range(2) is unknown before Linux 5.11 and refused by some sandboxes; no server fails to
// start for that.
TONNAGE_IN_CHILD void close_the_rest_on_exec() {
  if (::syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */) == 0)
    return;
  if (close_listed_on_exec())
    return;
  rlimit files{};
  rlim_t end = kNumbersTriedMax;
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < end)
    end = files.rlim_cur;
  for (int fd = 3; fd < static_cast<int>(end); ++fd)
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

// Runs in the child on a stack of its own. Only async-signal-safe calls, no allocation.
TONNAGE_IN_CHILD int child_main(void* argument) {
  ChildPlan& plan = *static_cast<ChildPlan*>(argument);
  if (::setpgid(0, 0) != 0)
    return child_fails(plan, "setpgid");
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
    return child_fails(plan, "prctl");
  // The parent may have ended before the request above: then nothing would end us any more.
  if (::getppid() != plan.parent)
    ::_exit(127);

  if (::dup2(plan.in, 0) < 0 || ::dup2(plan.out, 1) < 0 || ::dup2(plan.err, 2) < 0) {
    return child_fails(plan, "dup2");
  }
  // Whatever another part of the daemon left inheritable ends here.
  close_the_rest_on_exec();
  // Not fatal where they are not permitted: the server runs, only less politely.
  const int score = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (score >= 0) {
    [[maybe_unused]] const auto written =
        ::write(score, plan.oom_score.data(), plan.oom_score_length);
    ::close(score);
  }
  if (plan.nice != 0)
    ::setpriority(PRIO_PROCESS, 0, ::getpriority(PRIO_PROCESS, 0) + plan.nice);
  // A core file of many gigabytes would delay the moment at which the memory is free. 1 instead of
  // 0 also keeps the kernel from feeding it to a crash reporter's pipe.
  const rlimit no_core{.rlim_cur = 1, .rlim_max = 1};
  ::setrlimit(RLIMIT_CORE, &no_core);

  reset_signals();
  ::execve(plan.program, plan.argv, plan.env);
  return child_fails(plan, "execve");
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  out.reserve(words.size() + 1);
  // execve takes pointers to non-const for historical reasons and does not write through them.
  for (const auto& word : words)
    out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

void fill_oom_score(ChildPlan& plan) {
  int own = 0;
  const FileHandle file(::open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC));
  std::array<char, 16> text{};
  if (file) {
    const auto size = ::read(file.get(), text.data(), text.size());
    if (size > 0)
      std::from_chars(text.data(), text.data() + size, own);
  }
  const int score = std::min(own + kOomScoreRaise, kOomScoreMax);
  const auto end = std::to_chars(plan.oom_score.begin(), plan.oom_score.end(), score).ptr;
  plan.oom_score_length = static_cast<std::size_t>(end - plan.oom_score.begin());
}

std::string remedy_for(int error) {
  if (error == ENOENT)
    return "check the path, and that its interpreter or loader exists";
  if (error == EACCES)
    return "make it executable";
  if (error == ENOEXEC)
    return "it is not a program for this machine";
  if (error == EAGAIN || error == ENOMEM)
    return "raise the limit of processes, or free memory";
  return {};
}

// clone() as vfork: the caller is suspended until the child execs or ends, and nothing is copied.
int clone_child(ChildPlan& plan, char* stack, int& pidfd) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  // No handler of ours may run in the child while it uses our memory.
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const int pid = ::clone(child_main, stack + kChildStackBytes,
                          CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &plan, &pidfd);
  const int clone_errno = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = clone_errno;
  return pid;
}

Result<FileHandle> above_stdio(int fd, std::string_view what) {
  // dup2 onto 0-2 must not overwrite a descriptor that is still needed as a source.
  FileHandle copy(open_with_reserve([fd] { return ::fcntl(fd, F_DUPFD_CLOEXEC, 3); }));
  if (!copy)
    return fail("cannot pass on", std::string(what), ::strerror(errno));
  return copy;
}

}  // namespace

Result<Spawned> spawn(const SpawnRequest& request) {
  TONNAGE_CHECK(!request.argv.empty(), "spawn() needs a program");
  const std::string& program = request.argv.front();
  if (program.find('/') == std::string::npos) {
    return fail("cannot start", program, "it is a name, not a path", "name the file");
  }
  const FileHandle null_device(
      open_with_reserve([] { return ::open("/dev/null", O_RDWR | O_CLOEXEC); }));
  if (!null_device)
    return fail("cannot open", "/dev/null", ::strerror(errno));
  const auto in = above_stdio(null_device.get(), "standard input");
  const auto out =
      above_stdio(request.out >= 0 ? request.out : null_device.get(), "standard output");
  const auto err =
      above_stdio(request.err >= 0 ? request.err : null_device.get(), "standard error");
  for (const auto* handle : {&in, &out, &err}) {
    if (!*handle)
      return std::unexpected(handle->error());
  }

  const auto argv = pointers(request.argv);
  const auto env = pointers(request.env);
  ChildPlan plan{.program = program.c_str(),
                 .argv = argv.data(),
                 .env = env.data(),
                 .in = in->get(),
                 .out = out->get(),
                 .err = err->get(),
                 .nice = request.nice,
                 .parent = ::getpid()};
  fill_oom_score(plan);

  void* const stack = ::mmap(nullptr, kChildStackBytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED)
    return fail("cannot start", program, ::strerror(errno));
  int pidfd = -1;
  // Fails before anything runs where there is no number for the pidfd.
  const int pid =
      open_with_reserve([&] { return clone_child(plan, static_cast<char*>(stack), pidfd); });
  const int clone_errno = errno;
  ::munmap(stack, kChildStackBytes);
  if (pid < 0) {
    return fail("cannot start", program, std::string("clone: ") + ::strerror(clone_errno),
                remedy_for(clone_errno));
  }

  Spawned spawned{.pid = pid, .pidfd = FileHandle(pidfd)};
  if (plan.failed_step != nullptr) {
    reap(spawned);
    return fail("cannot start", program,
                std::string(plan.failed_step) + ": " + ::strerror(plan.failed_errno),
                remedy_for(plan.failed_errno));
  }
  return spawned;
}

void signal_group(const Spawned& process, int signal) {
  // The group exists as long as the process was not reaped: the child made it before its exec.
  ::kill(-process.pid, signal);
}

bool has_ended(const Spawned& process) {
  siginfo_t info{};
  const int rc =
      ::waitid(P_PIDFD, static_cast<id_t>(process.pidfd.get()), &info, WEXITED | WNOHANG | WNOWAIT);
  // A non-blocking pidfd says EAGAIN. Whatever else went wrong, there is nothing to wait for.
  return rc == 0 ? info.si_pid != 0 : errno != EAGAIN && errno != EINTR;
}

ExitStatus reap(const Spawned& process) {
  // While the leader is a zombie its number, and so its group's, cannot belong to anyone else.
  signal_group(process, SIGKILL);
  siginfo_t info{};
  int rc = 0;
  do {
    rc = ::waitid(P_PIDFD, static_cast<id_t>(process.pidfd.get()), &info, WEXITED);
  } while (rc != 0 && errno == EINTR);
  if (rc != 0)
    return ExitStatus{.code = 127};  // someone else collected it
  if (info.si_code == CLD_EXITED)
    return ExitStatus{.code = info.si_status};
  return ExitStatus{.signal = info.si_status};
}

Result<Pipe> open_pipe() {
  std::array<int, 2> ends{};
  if (open_with_reserve([&ends] { return ::pipe2(ends.data(), O_CLOEXEC); }) != 0) {
    return fail("cannot open a pipe", "", ::strerror(errno), "raise the limit of open files");
  }
  Pipe pipe{.read_end = FileHandle(ends[0]), .write_end = FileHandle(ends[1])};
  // Only our end: a server that finds its own output non-blocking may lose words.
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return pipe;
}

}  // namespace tonnage
