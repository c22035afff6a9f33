#include "daemon/log_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

class Pipe {
 public:
  Pipe() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    read_end_ = ends[0];
    write_end_ = ends[1];
  }
  ~Pipe() {
    close_reader();
    close_writer();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int writer() const { return write_end_; }
  void close_reader() {
    if (read_end_ >= 0)
      ::close(read_end_);
    read_end_ = -1;
  }
  void close_writer() {
    if (write_end_ >= 0)
      ::close(write_end_);
    write_end_ = -1;
  }
  // Until not a byte more goes in.
  void fill() const {
    const int flags = ::fcntl(write_end_, F_GETFL);
    ::fcntl(write_end_, F_SETFL, flags | O_NONBLOCK);
    const std::string block(4096, '.');
    while (::write(write_end_, block.data(), block.size()) > 0) {
    }
    ::fcntl(write_end_, F_SETFL, flags);
  }
  // Reads until `end` has come, or the writers have gone.
  std::string read_until(const std::string& end) {
    std::string text;
    char buffer[65536];
    while (text.find(end) == std::string::npos) {
      const auto size = ::read(read_end_, buffer, sizeof(buffer));
      if (size <= 0)
        break;
      text.append(buffer, static_cast<std::size_t>(size));
    }
    return text;
  }

 private:
  int read_end_ = -1;
  int write_end_ = -1;
};

std::string loss(std::uint64_t lines) {
  return "lost " + std::to_string(lines) + "\n";
}

TEST(LogWriter, WritesWhatItIsGivenInOrder) {
  Pipe pipe;
  std::string all;
  {
    LogWriter writer(pipe.writer());
    for (int i = 0; i < 1000; ++i) {
      const std::string line = "line " + std::to_string(i) + "\n";
      writer.write(line);
      all += line;
    }
    EXPECT_EQ(pipe.read_until("line 999\n"), all);
    writer.write("the last\n");
  }
  EXPECT_EQ(pipe.read_until("the last\n"), "the last\n");
}

TEST(LogWriter, AReaderThatIsLateMissesTheMiddleAndIsTold) {
  Pipe pipe;
  LogWriter writer(pipe.writer(), loss, 64_KiB);
  const std::string line(1023, 'x');
  constexpr std::uint64_t kLines = 10'000;  // far more than the pipe and the writer hold
  for (std::uint64_t i = 0; i < kLines; ++i)
    writer.write(line + "\n");
  // Whoever comes reads the beginning; where lines are missing, a line says how many.
  std::uint64_t lines = 0;
  std::uint64_t lost = 0;
  std::string text;
  while (lines + lost < kLines) {
    text += pipe.read_until("\n");
    for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
      if (text.starts_with("lost ")) {
        lost += std::stoull(text.substr(5));
      } else {
        ASSERT_EQ(text.substr(0, end), line);
        ++lines;
      }
      text.erase(0, end + 1);
    }
  }
  EXPECT_EQ(lines + lost, kLines);
  EXPECT_GT(lost, 0u);
  writer.write("new\n");
  EXPECT_NE(pipe.read_until("new\n").find("new\n"), std::string::npos);
}

TEST(LogWriter, NobodyReadsAndNobodyWaits) {
  Pipe pipe;
  pipe.fill();
  LogWriter writer(pipe.writer(), loss, 4_KiB);
  for (int i = 0; i < 1000; ++i)
    writer.write(std::string(1023, 'x') + "\n");
  // Its end gives up as well; a test that hangs here has found a writer that waits for ever.
}

TEST(LogWriter, AClosedDescriptorIsNothing) {
  std::signal(SIGPIPE, SIG_IGN);
  Pipe pipe;
  pipe.close_reader();
  {
    LogWriter writer(pipe.writer(), loss);
    writer.write("to nobody\n");
  }
  const int closed = ::fcntl(pipe.writer(), F_DUPFD_CLOEXEC, 100);
  ::close(closed);
  LogWriter writer(closed, loss);
  writer.write("to nothing\n");
}

TEST(LogWriter, ADescriptorThatDoesNotBlockIsWaitedFor) {
  Pipe pipe;
  ASSERT_EQ(::fcntl(pipe.writer(), F_SETFL, O_NONBLOCK), 0);
  LogWriter writer(pipe.writer());
  std::string all;
  for (int i = 0; i < 200; ++i)
    all += std::string(1023, static_cast<char>('a' + i % 26)) + "\n";
  writer.write(all + "end\n");
  EXPECT_EQ(pipe.read_until("end\n"), all + "end\n");
}

}  // namespace
}  // namespace tonnage
