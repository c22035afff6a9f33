#include "process/runtime_folder.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "process/loop_fixture.h"
#include "process/pidfd.h"
#include "process/spawn.h"
#include "process/stat.h"

namespace tonnage {
namespace {

class RuntimeFolderTest : public testing::Test {
 protected:
  static std::string error_of(const Result<RuntimeFolder>& folder) {
    return folder ? "" : folder.error().text();
  }
  static std::string read(const std::filesystem::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
  }

  ScratchFolder scratch_;
  std::filesystem::path path_ = scratch_.path() / "tonnage";
};

// A program that an earlier daemon might have left. It ends with the test in any case.
class Bystander {
 public:
  Bystander() : process_(*spawn({.argv = {"/bin/sleep", "1000"}})) {}
  ~Bystander() {
    signal_group(process_, SIGKILL);
    reap(process_);
  }
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;

  pid_t pid() const { return process_.pid; }
  bool ended() const {
    pollfd waiting{.fd = process_.pidfd.get(), .events = POLLIN, .revents = 0};
    return ::poll(&waiting, 1, 0) > 0;
  }

 private:
  Spawned process_;
};

TEST_F(RuntimeFolderTest, IsPrivateAndNamesItsSockets) {
  std::filesystem::create_directory(path_);
  ::chmod(path_.c_str(), 0755);
  const auto folder = RuntimeFolder::open(path_);
  ASSERT_TRUE(folder) << error_of(folder);
  struct stat info{};
  ::stat(path_.c_str(), &info);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
  EXPECT_EQ(folder->socket_path(ModelId{2}, Generation{17}), path_ / "2-17.sock");
}

TEST_F(RuntimeFolderTest, FoldersAboveItAreMadeToo) {
  EXPECT_TRUE(RuntimeFolder::open(scratch_.path() / "a" / "b" / "tonnage"));
}

TEST_F(RuntimeFolderTest, ASecondDaemonIsToldWhoTheFirstIs) {
  const auto first = RuntimeFolder::open(path_);
  ASSERT_TRUE(first);
  const auto second = RuntimeFolder::open(path_);
  ASSERT_FALSE(second);
  EXPECT_NE(error_of(second).find("pid " + std::to_string(::getpid())), std::string::npos)
      << error_of(second);
}

TEST_F(RuntimeFolderTest, TheLockEndsWithItsOwner) {
  {
    ASSERT_TRUE(RuntimeFolder::open(path_));
  }
  EXPECT_TRUE(RuntimeFolder::open(path_));
}

TEST_F(RuntimeFolderTest, ALostLockCleansNothingUp) {
  const auto first = RuntimeFolder::open(path_);
  ASSERT_TRUE(first);
  write("1-1.sock", "");
  EXPECT_FALSE(RuntimeFolder::open(path_));
  EXPECT_TRUE(std::filesystem::exists(path_ / "1-1.sock"));
}

TEST_F(RuntimeFolderTest, ServersOfAnEarlierDaemonAreEnded) {
  const Bystander left;
  std::string record;
  {
    auto folder = RuntimeFolder::open(path_);
    ASSERT_TRUE(folder->record(Generation{5}, left.pid()));
    record = read(path_ / "5.server");
  }
  EXPECT_FALSE(std::filesystem::exists(path_ / "5.server"));  // a daemon that ends well leaves none
  write("5.server", record);
  write("1-5.sock", "");
  const auto folder = RuntimeFolder::open(path_);
  ASSERT_TRUE(folder);
  EXPECT_TRUE(left.ended());
  EXPECT_EQ(folder->cleaned(), (std::vector<pid_t>{left.pid()}));
  EXPECT_FALSE(std::filesystem::exists(path_ / "5.server"));
  EXPECT_FALSE(std::filesystem::exists(path_ / "1-5.sock"));
}

// A script as `llama_server` that does not exec: the daemon's end takes the script and not its
// child.
TEST_F(RuntimeFolderTest, AServerThatOutlivedItsScriptIsEnded) {
  std::filesystem::create_directory(path_);
  write("1-5.sock", "it runs\n");
  auto pipe = open_pipe();
  ASSERT_TRUE(pipe);
  // What it prints shows that it is no longer a copy of the script's shell.
  const std::string script = "tail -f " + path_.string() + "/1-5.sock & wait";
  const auto left = spawn({.argv = {"/bin/sh", "-c", script}, .out = pipe->write_end.get()});
  ASSERT_TRUE(left);
  pollfd ready{.fd = pipe->read_end.get(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&ready, 1, 20'000), 1);
  const std::string record = std::to_string(left->pid) + " " +
                             std::to_string(read_process_stat(left->pid)->start_ticks) + " " +
                             boot_id() + "\n";
  ASSERT_TRUE(signal_pidfd(left->pidfd, SIGKILL));
  ASSERT_EQ(::waitpid(left->pid, nullptr, 0), left->pid);
  ASSERT_EQ(::kill(-left->pid, 0), 0) << "it is still there";
  write("5.server", record);
  const auto folder = RuntimeFolder::open(path_);
  ASSERT_TRUE(folder);
  ASSERT_EQ(folder->cleaned().size(), 1U);
  const auto stat = read_process_stat(folder->cleaned()[0]);
  EXPECT_TRUE(!stat || stat->state == 'Z');
}

// Its number went to a process that made a group of its own.
TEST_F(RuntimeFolderTest, AGroupThatNamesNoSocketOfTheFolderIsSpared) {
  const Bystander stranger;
  std::filesystem::create_directory(path_);
  write("5.server", std::to_string(stranger.pid()) + " 1 " + boot_id() + "\n");
  const auto folder = RuntimeFolder::open(path_);
  ASSERT_TRUE(folder);
  EXPECT_FALSE(stranger.ended());
  EXPECT_TRUE(folder->cleaned().empty());
}

TEST_F(RuntimeFolderTest, AProcessThatGotTheNumberOfADeadServerIsSpared) {
  const Bystander stranger;
  std::filesystem::create_directory(path_);
  const auto pid = std::to_string(stranger.pid());
  const auto start = read_process_stat(stranger.pid())->start_ticks;
  write("1.server", pid + " " + std::to_string(start - 1) + " " + boot_id() + "\n");
  write("2.server", pid + " " + std::to_string(start) + " " +
                        "00000000-0000-0000-0000-000000000000\n");  // another boot
  write("3.server", pid);
  write("4.server", "-1 5 " + boot_id() + "\n");
  write("5.server", "1 5 " + boot_id() + "\n");
  write("6.server", "");
  const auto folder = RuntimeFolder::open(path_);
  ASSERT_TRUE(folder);
  EXPECT_FALSE(stranger.ended());
  EXPECT_TRUE(folder->cleaned().empty());
  EXPECT_FALSE(std::filesystem::exists(path_ / "1.server"));
}

TEST_F(RuntimeFolderTest, OnlyItsOwnKindsOfFilesAreRemoved) {
  std::filesystem::create_directory(path_);
  write("notes.txt", "mine");
  ASSERT_TRUE(RuntimeFolder::open(path_));
  EXPECT_TRUE(std::filesystem::exists(path_ / "notes.txt"));
}

TEST_F(RuntimeFolderTest, AForgottenServerLeavesNoRecord) {
  auto folder = RuntimeFolder::open(path_);
  ASSERT_TRUE(folder->record(Generation{5}, ::getpid()));
  EXPECT_TRUE(std::filesystem::exists(path_ / "5.server"));
  folder->forget(Generation{5});
  EXPECT_FALSE(std::filesystem::exists(path_ / "5.server"));
}

TEST_F(RuntimeFolderTest, APathTooLongForSocketsIsRefusedWithARemedy) {
  const auto folder = RuntimeFolder::open(scratch_.path() / std::string(90, 'x'));
  ASSERT_FALSE(folder);
  EXPECT_NE(error_of(folder).find("shorter path"), std::string::npos) << error_of(folder);
}

TEST_F(RuntimeFolderTest, ASocketNameThatDoesNotFitIsRefused) {
  const auto room = kSocketPathBytesMax - std::string("/99999-9999999999.sock").size();
  const std::string name(room - scratch_.path().native().size() - 1, 'x');
  const auto folder = RuntimeFolder::open(scratch_.path() / name);
  ASSERT_TRUE(folder) << error_of(folder);
  EXPECT_TRUE(folder->socket_path(ModelId{99999}, Generation{9999999999}));
  EXPECT_FALSE(folder->socket_path(ModelId{99999}, Generation{99999999990}));
}

TEST_F(RuntimeFolderTest, AFileInItsPlaceIsRefused) {
  std::ofstream(path_) << "x";
  EXPECT_NE(error_of(RuntimeFolder::open(path_)).find("Not a directory"), std::string::npos);
}

TEST_F(RuntimeFolderTest, ALinkInItsPlaceIsRefused) {
  std::filesystem::create_directory_symlink(scratch_.path(), path_);
  EXPECT_FALSE(RuntimeFolder::open(path_));
}

TEST_F(RuntimeFolderTest, AFolderThatCannotBeWrittenIsRefused) {
  // /proc is read-only even for root.
  const auto folder = RuntimeFolder::open("/proc/self/tonnage");
  ASSERT_FALSE(folder);
  EXPECT_NE(error_of(folder).find("set runtime_dir"), std::string::npos) << error_of(folder);
}

TEST_F(RuntimeFolderTest, AFolderThatAnotherUserCouldReplaceIsRefused) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "needs root, to make a folder of another user";
  ASSERT_EQ(::chown(scratch_.path().c_str(), 12345, 12345), 0);
  EXPECT_NE(error_of(RuntimeFolder::open(path_)).find("could replace it"), std::string::npos);
  ASSERT_EQ(::chown(path_.c_str(), 12345, 12345), 0);
  EXPECT_NE(error_of(RuntimeFolder::open(path_)).find("belongs to user 12345"), std::string::npos);
}

TEST_F(RuntimeFolderTest, WhatWasRemovedWhileItRunsIsMadeAgain) {
  auto folder = RuntimeFolder::open(path_);
  ASSERT_TRUE(folder->record(Generation{5}, ::getpid()));
  EXPECT_TRUE(folder->ensure());
  std::filesystem::remove_all(path_);
  ASSERT_TRUE(folder->ensure());
  EXPECT_TRUE(std::filesystem::exists(path_ / "5.server"));
  EXPECT_FALSE(RuntimeFolder::open(path_));  // locked again
  std::filesystem::remove(path_ / "lock");
  ASSERT_TRUE(folder->ensure());
  EXPECT_FALSE(RuntimeFolder::open(path_));
}

}  // namespace
}  // namespace tonnage
