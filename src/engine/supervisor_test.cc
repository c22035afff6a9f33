#include "engine/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "engine/server_fixture.h"
#include "http/stream_socket.h"
#include "process/pidfd.h"
#include "process/stat.h"

namespace tonnage {
namespace {

using SupervisorTest = ServerFixture;

bool waits_dead(pid_t pid, int limit_ms) {
  const FileHandle pidfd = open_pidfd(pid);
  if (!pidfd)
    return true;
  pollfd waiting{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
  return ::poll(&waiting, 1, limit_ms) > 0;
}

std::size_t open_descriptors() {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

TEST_F(SupervisorTest, TellsOnceWhenAServerIsReadyAndOnceWhenItHasEnded) {
  const auto generation = start("ready");
  EXPECT_TRUE(seen_.ready.empty());  // never from inside start()
  ASSERT_TRUE(run_until([&] { return seen_.ready.contains(generation); }));
  const auto running = supervisor_->running();
  ASSERT_EQ(running.size(), 1U);
  EXPECT_EQ(running[0].pid, supervisor_->pid(generation));
  EXPECT_TRUE(running[0].ready);

  supervisor_->stop(generation, false);
  EXPECT_TRUE(seen_.exits.empty());  // never from inside stop()
  ASSERT_TRUE(until_exit(generation));
  run_for(120ms);
  EXPECT_EQ(seen_.ready[generation], 1);
  EXPECT_EQ(seen_.exits[generation], 1);
  EXPECT_FALSE(seen_.failures[generation]);
  EXPECT_FALSE(supervisor_->pid(generation));
  EXPECT_FALSE(std::filesystem::exists(running[0].endpoint.unix_path));
}

TEST_F(SupervisorTest, AServerThatLoadsIsReadyOnlyWhenItSaysSo) {
  const auto generation = start("late", {"5"});
  ASSERT_TRUE(run_until([&] { return said("listening").has_value(); }));
  EXPECT_TRUE(seen_.ready.empty());
  EXPECT_TRUE(run_until([&] { return seen_.ready.contains(generation); }));
}

TEST_F(SupervisorTest, AServerThatNeverGetsReadyIsLeftToTheCore) {
  const auto never = start("never");
  const auto absent = start("absent");
  run_for(500ms);
  EXPECT_TRUE(seen_.ready.empty());
  EXPECT_TRUE(seen_.unresponsive.empty());
  supervisor_->stop(never, false);
  supervisor_->stop(absent, true);
  EXPECT_TRUE(until_exit(never));
  EXPECT_TRUE(until_exit(absent));
  EXPECT_FALSE(seen_.failures[never]);
}

// A server says why before it answers, and the answer may be read first.
TEST_F(SupervisorTest, LastWordsHaveWhatWasPrintedBeforeAnAnswer) {
  const auto generation = start("ready");
  const auto socket = folder_->socket_path(kModel, generation);
  const auto where = net::system_address(net::unix_address(*socket));
  const FileHandle connection(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto give_up = std::chrono::steady_clock::now() + 10s;
  int connected = -1;
  while (connected != 0 && std::chrono::steady_clock::now() < give_up)
    connected = ::connect(connection.get(), where->get(), where->length);
  ASSERT_EQ(connected, 0);
  const std::string_view get = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_EQ(::write(connection.get(), get.data(), get.size()), static_cast<ssize_t>(get.size()));
  pollfd answer{.fd = connection.get(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&answer, 1, 10'000), 1);

  EXPECT_TRUE(supervisor_->log(kModel).lines().empty()) << "the loop has not run";
  EXPECT_EQ(supervisor_->last_words(generation), (std::vector<std::string_view>{"listening"}));
  EXPECT_TRUE(supervisor_->last_words(Generation{99}).empty());
}

TEST_F(SupervisorTest, SaysWhyAServerEndedByItself) {
  const auto bad =
      start("last-words", {"1", "E llama_model_load: unknown model architecture: 'x'"});
  const auto plain = start("last-words", {"7", "something else"});
  const auto aborted = start("abort", {"CUDA error: out of memory"});
  for (const auto generation : {bad, plain, aborted}) {
    ASSERT_TRUE(until_exit(generation));
    ASSERT_TRUE(seen_.failures[generation]);
  }
  EXPECT_EQ(seen_.failures[bad]->kind, FailureKind::bad_model);
  EXPECT_EQ(seen_.failures[plain]->kind, FailureKind::exited);
  EXPECT_EQ(seen_.failures[plain]->text, "exit status 7: something else");
  EXPECT_EQ(seen_.failures[aborted]->kind, FailureKind::out_of_device_memory);
}

TEST_F(SupervisorTest, AServerThatSomebodyElseKilledHasCrashed) {
  const auto generation = start_ready("ready");
  ::kill(*supervisor_->pid(generation), SIGKILL);
  ASSERT_TRUE(until_exit(generation));
  ASSERT_TRUE(seen_.failures[generation]);
  EXPECT_EQ(seen_.failures[generation]->kind, FailureKind::killed);
  EXPECT_EQ(seen_.failures[generation]->text, "killed by signal 9 (SIGKILL)");
}

TEST_F(SupervisorTest, AProgramThatCannotStartIsReportedLater) {
  const Generation generation{77};
  supervisor_->start(ServerSpec{.generation = generation,
                                .model = kModel,
                                .argv = {"/nowhere/llama-server"},
                                .endpoint = net::unix_address(folder_->path() / "x.sock")});
  EXPECT_TRUE(seen_.exits.empty());
  ASSERT_TRUE(until_exit(generation));
  EXPECT_EQ(seen_.failures[generation]->kind, FailureKind::spawn_failed);
  EXPECT_NE(seen_.failures[generation]->text.find("/nowhere/llama-server"), std::string::npos);
  EXPECT_NE(seen_.failures[generation]->text.find("No such file"), std::string::npos);
}

TEST_F(SupervisorTest, KillsAServerThatIgnoresSigtermAfterTheStopTimeout) {
  options_.stop_timeout = 200ms;
  make();
  const auto generation = start_ready("stubborn");
  const auto begin = std::chrono::steady_clock::now();
  supervisor_->stop(generation, false);
  ASSERT_TRUE(until_exit(generation));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 200ms);
  EXPECT_FALSE(seen_.failures[generation]);
}

TEST_F(SupervisorTest, KillAtOnceDoesNotWaitForAnyTimeout) {
  options_.stop_timeout = 1h;
  make();
  const auto stubborn = start_ready("stubborn");
  const auto stopped = start_ready("ready");
  supervisor_->stop(stubborn, false);
  ::kill(*supervisor_->pid(stopped), SIGSTOP);
  supervisor_->stop(stubborn, true);  // also when it is being stopped already
  supervisor_->stop(stopped, true);   // also in state T
  EXPECT_TRUE(until_exit(stubborn));
  EXPECT_TRUE(until_exit(stopped));
  EXPECT_FALSE(seen_.failures[stopped]);
}

TEST_F(SupervisorTest, AStoppedProcessStillEndsOnSigterm) {
  options_.stop_timeout = 1h;
  make();
  const auto generation = start_ready("graceful");
  ::kill(*supervisor_->pid(generation), SIGSTOP);
  supervisor_->stop(generation, false);
  EXPECT_TRUE(until_exit(generation));
}

TEST_F(SupervisorTest, WhatAServerLeftInItsGroupEndsWithIt) {
  const auto generation = start_ready("family");
  const auto text = said("child ");
  ASSERT_TRUE(text);
  pid_t child = 0;
  std::from_chars(text->data(), text->data() + text->size(), child);
  ASSERT_TRUE(read_process_stat(child));
  ::kill(*supervisor_->pid(generation), SIGKILL);  // the leader alone
  ASSERT_TRUE(until_exit(generation));
  EXPECT_TRUE(waits_dead(child, 5000)) << "kill " << child;
}

TEST_F(SupervisorTest, AServerSeesNothingOfTheDaemon) {
  const int leak = ::dup(0);  // inheritable, as careless code might leave one
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t blocked;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGUSR1);
  ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
  ::setenv("TONNAGE_SECRET", "1", 1);
  const auto generation = start_ready("surroundings");
  ::unsetenv("TONNAGE_SECRET");
  ::sigprocmask(SIG_UNBLOCK, &blocked, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::close(leak);

  std::vector<std::string> environment;
  std::vector<std::string> descriptors;
  for (const auto& line : supervisor_->log(kModel).lines()) {
    if (line.text.starts_with("env "))
      environment.push_back(line.text.substr(4));
    if (line.text.starts_with("fd "))
      descriptors.push_back(line.text.substr(3));
  }
  std::ranges::sort(descriptors);
  EXPECT_EQ(environment, (std::vector<std::string>{"PATH=/usr/bin:/bin", "MARK=1"}));
  EXPECT_EQ(descriptors, (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_EQ(said("pdeathsig "), "9");
  EXPECT_EQ(said("group leader "), "yes");
  EXPECT_EQ(said("sigpipe "), "default");
  EXPECT_EQ(said("sigusr1 "), "open");
  supervisor_->stop(generation, true);
  EXPECT_TRUE(until_exit(generation));
}

TEST_F(SupervisorTest, NoServerOutlivesADaemonThatWasKilled) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  const pid_t daemon = ::fork();
  if (daemon == 0) {
    boost::asio::io_context loop;
    auto folder = RuntimeFolder::open(scratch_.path() / "other");
    Recorder seen;
    Supervisor supervisor(loop, *folder, {}, seen);
    const Generation generation{1};
    const auto socket = *folder->socket_path(kModel, generation);
    supervisor.start(ServerSpec{.generation = generation,
                                .model = kModel,
                                .argv = fake_server_argv(socket, "stubborn"),
                                .endpoint = net::unix_address(socket)});
    while (seen.ready.empty())
      loop.run_one();
    const pid_t pid = *supervisor.pid(generation);
    [[maybe_unused]] const auto written = ::write(pipe[1], &pid, sizeof(pid));
    loop.run();
    ::_exit(0);
  }
  pid_t server = 0;
  ASSERT_EQ(::read(pipe[0], &server, sizeof(server)), static_cast<ssize_t>(sizeof(server)));
  ASSERT_TRUE(read_process_stat(server));
  ::kill(daemon, SIGKILL);
  EXPECT_TRUE(waits_dead(server, 1000)) << "kill -9 " << server;
  ::waitpid(daemon, nullptr, 0);
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_F(SupervisorTest, EndsItsServersWhenItEnds) {
  const auto generation = start_ready("stubborn");
  const pid_t pid = *supervisor_->pid(generation);
  supervisor_.reset();
  EXPECT_FALSE(read_process_stat(pid));  // reaped as well
  run_for(50ms);
  EXPECT_TRUE(seen_.exits.empty());
}

TEST_F(SupervisorTest, FiftyServersLeaveNoDescriptorBehind) {
  const auto run_one = [&](bool until_ready) {
    const auto generation = until_ready ? start_ready("ready") : start("ready");
    supervisor_->stop(generation, true);
    EXPECT_TRUE(until_exit(generation));
  };
  run_one(true);  // opens what the loop keeps
  const auto before = open_descriptors();
  for (int i = 0; i < 50; ++i) {
    run_one(i % 2 == 0);  // half of them end while they start
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(SupervisorTest, ObserversMayStartTheNextServerAtOnce) {
  std::optional<Generation> next;
  seen_.on_exit = [&](Generation) {
    seen_.on_exit = nullptr;
    next = start("ready");
  };
  const auto first = start("last-words", {"1"});
  ASSERT_TRUE(until_exit(first));
  ASSERT_TRUE(next);
  EXPECT_TRUE(run_until([&] { return seen_.ready.contains(*next); }));
}

TEST_F(SupervisorTest, AStaleSocketDoesNotKeepAServerFromStarting) {
  const auto socket = *folder_->socket_path(kModel, Generation{last_ + 1});
  ::close(::open(socket.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  start_ready("ready");
  EXPECT_EQ(supervisor_->running().at(0).endpoint.unix_path, socket);
}

TEST_F(SupervisorTest, KeepsTheLastWordsOfADeadServer) {
  const auto first = start("last-words", {"1", "the end"});
  ASSERT_TRUE(until_exit(first));
  const auto second = start_ready("ready");
  EXPECT_EQ(supervisor_->log(kModel).tail(first, 5), (std::vector<std::string_view>{"the end"}));
  EXPECT_EQ(supervisor_->log(kModel).tail(second, 5), (std::vector<std::string_view>{"listening"}));
}

TEST_F(SupervisorTest, ABoundedLogOutlivesAServerThatPrintsWithoutEnd) {
  start_ready("chatter", {"3000000"});
  const auto& lines = supervisor_->log(kModel).lines();
  ASSERT_GE(lines.size(), 2U);
  EXPECT_LT(lines[0].text.size(), 2100U);
  EXPECT_TRUE(lines[0].text.ends_with("[cut]"));
  EXPECT_EQ(lines[1].text, "after the long line");
}

TEST_F(SupervisorTest, AFolderThatWasRemovedIsMadeAgain) {
  start_ready("ready");
  std::filesystem::remove_all(folder_->path());
  start_ready("ready");
  EXPECT_TRUE(std::filesystem::exists(folder_->path() / "lock"));
  EXPECT_TRUE(std::filesystem::exists(folder_->path() / "1.server"));
}

TEST_F(SupervisorTest, AFolderThatCannotBeMadeAgainIsASetupFailure) {
  std::filesystem::remove_all(folder_->path());
  ::close(::open(folder_->path().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  const auto generation = start("ready");
  ASSERT_TRUE(until_exit(generation));
  EXPECT_EQ(seen_.failures[generation]->kind, FailureKind::bad_setup);
  EXPECT_NE(seen_.failures[generation]->text.find("runtime folder"), std::string::npos);
}

}  // namespace
}  // namespace tonnage
