#include "daemon/logging.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

namespace tonnage {
namespace {

// What a session writes into a file while `say` runs, line by line.
template <typename Say>
std::vector<std::string> logged(LogLevel level, LogFormat format, Say say) {
  std::string name = testing::TempDir() + "tonnage-log-XXXXXX";
  const int fd = ::mkstemp(name.data());
  EXPECT_GE(fd, 0);
  {
    const LogSession session(level, format, fd);
    say();
  }
  ::close(fd);
  std::ifstream file(name);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);)
    lines.push_back(line);
  ::unlink(name.c_str());
  return lines;
}

TEST(Logging, TextIsForPeople) {
  const auto lines = logged(LogLevel::info, LogFormat::text, [] {
    spdlog::info("all is well");
    log_line(spdlog::level::warn, "a sentence", R"({"kind":"fail"})");
  });
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(lines[0].ends_with(" info all is well")) << lines[0];
  EXPECT_TRUE(lines[1].ends_with(" warning a sentence")) << lines[1];
  EXPECT_EQ(lines[0].find('\x1b'), std::string::npos) << "no colours in a file";
}

TEST(Logging, JsonIsAnObjectALineWithFieldsOfItsOwn) {
  const auto lines = logged(LogLevel::info, LogFormat::json, [] {
    spdlog::warn("{}", "a \"quote\",\na line, and bytes \xFF that are no text");
    log_line(spdlog::level::info, "{braces} stay", R"({"kind":"load","need_bytes":77})");
    log_line(spdlog::level::info, "no fields", "{}");
  });
  ASSERT_EQ(lines.size(), 3u);
  const auto first = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(first["level"], "warning");
  EXPECT_EQ(first["message"].get<std::string>().substr(0, 17), "a \"quote\",\na line");
  EXPECT_EQ(first.size(), 3u);
  const auto second = nlohmann::json::parse(lines[1]);
  EXPECT_EQ(second["message"], "{braces} stay");
  EXPECT_EQ(second["kind"], "load");
  EXPECT_EQ(second["need_bytes"], 77);
  EXPECT_EQ(second["time"].get<std::string>().size(), 29u) << second["time"];
  EXPECT_EQ(nlohmann::json::parse(lines[2]).size(), 3u);
}

TEST(Logging, AutoIsJsonWhereNobodyLooks) {
  const int file = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  EXPECT_EQ(resolved(LogFormat::automatic, file), LogFormat::json);
  EXPECT_EQ(resolved(LogFormat::text, file), LogFormat::text);
  ::close(file);
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0)
    GTEST_SKIP() << "no pseudo-terminal can be opened here";
  EXPECT_EQ(resolved(LogFormat::automatic, terminal), LogFormat::text);
  EXPECT_EQ(resolved(LogFormat::json, terminal), LogFormat::json);
  ::close(terminal);
}

TEST(Logging, TheLevelChangesWhileItRuns) {
  const auto lines = logged(LogLevel::warn, LogFormat::text, [] {
    EXPECT_EQ(log_level(), LogLevel::warn);
    spdlog::info("unsaid");
    set_log_level(LogLevel::debug);
    spdlog::debug("said");
    EXPECT_EQ(log_level(), LogLevel::debug);
    set_log_level(LogLevel::error);
    EXPECT_EQ(log_level(), LogLevel::error);
    log_line(spdlog::level::warn, "unsaid", "{}");
  });
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(lines[0].ends_with("said"));
}

TEST(Logging, AfterASessionLinesGoNowhere) {
  logged(LogLevel::info, LogFormat::text, [] {});
  spdlog::error("nobody hears this, and nothing breaks");
}

TEST(Logging, ClosedStandardStreamsAreHeld) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(STDIN_FILENO);
    ::close(STDERR_FILENO);
    hold_standard_streams();
    // The next file must not become standard input or error.
    const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    const bool held = ::fcntl(STDIN_FILENO, F_GETFD) >= 0 && ::fcntl(STDERR_FILENO, F_GETFD) >= 0;
    ::_exit(held && next > STDERR_FILENO ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace tonnage
