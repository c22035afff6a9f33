#include "process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

// From now on this thread, and what it starts, gets `error` from close_range(2), as with an old
// kernel or in a sandbox.
bool take_close_range_away(std::uint32_t error) {
  std::array<sock_filter, 4> program{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error & SECCOMP_RET_DATA)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{.len = program.size(), .filter = program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

// What a child sees of the descriptor `inheritable`: "open" or "closed".
std::string seen_by_child(int inheritable) {
  auto pipe = open_pipe();
  if (!pipe)
    return pipe.error().text();
  const std::string script =
      "[ -e /proc/self/fd/" + std::to_string(inheritable) + " ] && echo open || echo closed";
  auto child = spawn({.argv = {"/bin/sh", "-c", script}, .env = {}, .out = pipe->write_end.get()});
  if (!child)
    return child.error().text();
  pipe->write_end.reset();
  pollfd ended{.fd = child->pidfd.get(), .events = POLLIN, .revents = 0};
  ::poll(&ended, 1, 20'000);
  reap(*child);
  std::array<char, 256> buffer{};
  const auto size = ::read(pipe->read_end.get(), buffer.data(), buffer.size());
  return size > 0 ? std::string(buffer.data(), static_cast<std::size_t>(size)) : "nothing";
}

TEST(Spawn, WorksWithoutCloseRange) {
  const FileHandle left_open(::open("/dev/null", O_RDONLY));
  EXPECT_EQ(seen_by_child(left_open.get()), "closed\n");
  for (const std::uint32_t error : {ENOSYS, EPERM}) {
    std::string seen = "needs seccomp";
    // A filter stays with its thread.
    std::thread([&] {
      if (take_close_range_away(error))
        seen = seen_by_child(left_open.get());
    }).join();
    if (seen == "needs seccomp")
      GTEST_SKIP() << "the kernel or a sandbox does not allow seccomp filters";
    EXPECT_EQ(seen, "closed\n");
  }
}

}  // namespace
}  // namespace tonnage
