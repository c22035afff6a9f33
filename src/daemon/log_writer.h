// LogWriter: text to a file descriptor that may be slow, full or closed, never at its writers'
// cost.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "base/bytes.h"
#include "base/tick.h"

namespace tonnage {

// A thread of its own writes what the others hand in. What nobody reads is held up to a bound;
// after that new lines are dropped, counted, and spoken of once there is room again. What cannot be
// written at all (a closed descriptor, a full disk) is dropped. SIGPIPE must be ignored.
class LogWriter {
 public:
  // The line that says how many lines were lost; with its newline. Called on the writer's thread.
  using LossLine = std::function<std::string(std::uint64_t lines)>;

  static constexpr Bytes kHeldMax = 1_MiB;
  // At the end, a reader that is merely slow gets this long.
  static constexpr Duration kFlushMax = 1s;

  // The descriptor stays the caller's and is not changed: others may share it.
  explicit LogWriter(int fd, LossLine loss_line = {}, Bytes held_max = kHeldMax);
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // Whole lines. Any thread; returns at once.
  void write(std::string_view lines);

 private:
  void run();
  bool write_out(std::string_view text);
  bool wait_writable() const;
  std::optional<std::string> next();

  const int fd_;
  const LossLine loss_line_;
  const Bytes held_max_;
  int wake_ = -1;  // an eventfd that becomes readable when the end has come

  std::mutex mutex_;
  std::condition_variable filled_;
  std::string held_;  // what waits for the thread
  std::uint64_t lost_lines_ = 0;
  bool ending_ = false;

  std::thread thread_;
};

}  // namespace tonnage
