#include "process/marked.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "process/spawn.h"

namespace tonnage {
namespace {

Spawned sleeper(std::vector<std::string> env) {
  auto made = spawn({.argv = {"/bin/sleep", "600"}, .env = std::move(env)});
  EXPECT_TRUE(made);
  return std::move(*made);
}

bool ends(const Spawned& process, int wait_ms) {
  pollfd waiting{.fd = process.pidfd.get(), .events = POLLIN, .revents = 0};
  return ::poll(&waiting, 1, wait_ms) > 0;
}

TEST(KillMarked, ends_what_has_the_mark_and_nothing_else) {
  const std::string name = "/run/marked-test-" + std::to_string(::getpid()) + "/1.sock";
  const Spawned marked = sleeper({"A=b", mark_variable(name)});
  const Spawned other = sleeper({mark_variable(name.substr(0, name.size() - 6) + "2.sock")});
  const Spawned hidden = sleeper({"NOT_" + mark_variable(name)});
  const auto killed = kill_marked(name);
  ASSERT_EQ(killed.size(), 1U);
  EXPECT_EQ(killed.front().first, marked.pid);
  EXPECT_TRUE(ends(marked, 10'000));
  EXPECT_FALSE(ends(other, 0));
  EXPECT_FALSE(ends(hidden, 0));
  for (const Spawned* process : {&marked, &other, &hidden}) {
    signal_group(*process, SIGKILL);
    EXPECT_TRUE(ends(*process, 10'000));
    reap(*process);
  }
}

}  // namespace
}  // namespace tonnage
