#include "daemon/log_writer.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <optional>
#include <utility>

namespace tonnage {
namespace {

std::uint64_t lines_in(std::string_view text) {
  return static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
}

// A pipe that poll() calls writable takes this much without blocking. Ends at a line's end where it
// can, because others may write to the same pipe.
std::string_view piece_of(std::string_view text) {
  if (text.size() <= PIPE_BUF)
    return text;
  const std::size_t end = text.rfind('\n', PIPE_BUF - 1);
  return text.substr(0, end == std::string_view::npos ? PIPE_BUF : end + 1);
}

}  // namespace

LogWriter::LogWriter(int fd, LossLine loss_line, Bytes held_max)
    : fd_(fd),
      loss_line_(std::move(loss_line)),
      held_max_(held_max),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this] { run(); }) {}

LogWriter::~LogWriter() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  filled_.notify_one();
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto woken = ::write(wake_, &one, sizeof(one));
  thread_.join();
  ::close(wake_);
}

void LogWriter::write(std::string_view lines) {
  {
    const std::lock_guard lock(mutex_);
    const auto size = static_cast<std::int64_t>(held_.size() + lines.size());
    if (lost_lines_ > 0 || size > held_max_.count) {
      // From the first lost line on, until the reader has caught up: what is read has one hole.
      lost_lines_ += lines_in(lines);
      return;
    }
    held_ += lines;
  }
  filled_.notify_one();
}

// Everything that waits, and behind it the line about what was lost; empty when the end has come.
std::optional<std::string> LogWriter::next() {
  std::unique_lock lock(mutex_);
  filled_.wait(lock, [this] { return ending_ || !held_.empty() || lost_lines_ > 0; });
  if (held_.empty() && lost_lines_ == 0)
    return std::nullopt;
  std::string text = std::exchange(held_, {});
  if (lost_lines_ > 0 && loss_line_)
    text += loss_line_(lost_lines_);
  lost_lines_ = 0;
  return text;
}

void LogWriter::run() {
  while (const auto text = next()) {
    if (!write_out(*text))
      return;
  }
}

// False when the end has come and the reader does not read.
bool LogWriter::write_out(std::string_view text) {
  while (!text.empty()) {
    if (!wait_writable())
      return false;
    const std::string_view piece = piece_of(text);
    const auto written = ::write(fd_, piece.data(), piece.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR && errno != EAGAIN) {
      return true;  // closed, or no space: these lines have no place to go
    }
  }
  return true;
}

bool LogWriter::wait_writable() const {
  std::array<pollfd, 2> polled{pollfd{.fd = fd_, .events = POLLOUT, .revents = 0},
                               pollfd{.fd = wake_, .events = POLLIN, .revents = 0}};
  while (::poll(polled.data(), polled.size(), -1) < 0 && errno == EINTR) {
  }
  if (polled[0].revents != 0)
    return true;  // writable, or an error that write() will name
  polled[0].revents = 0;
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(kFlushMax).count();
  return ::poll(polled.data(), 1, static_cast<int>(ms)) > 0;
}

}  // namespace tonnage
