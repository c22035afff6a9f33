// LogRing: the last words of a model's servers, bounded, for people, streams and the classifier.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"

namespace tonnage {

struct LogLimits {
  std::size_t bytes_max = 64 * 1024;  // per model; about 600 lines of a llama-server
  std::size_t line_bytes_max = 2048;  // the rest of a longer line is dropped and marked
};

// One line without its end; valid UTF-8 without control characters, so that it can go into JSON,
// an event stream and a terminal as it is.
struct LogLine {
  std::uint64_t number = 0;  // counts from 1 and never goes back
  Generation generation;     // of the server that said it
  std::string text;
};

class LogRing {
 public:
  using Listener = std::function<void(const LogLine&)>;

  // Ends the subscription when destroyed. May outlive the ring.
  class Subscription {
   public:
    Subscription() = default;

   private:
    friend class LogRing;
    explicit Subscription(std::shared_ptr<Listener> listener) : listener_(std::move(listener)) {}
    std::shared_ptr<Listener> listener_;
  };

  explicit LogRing(LogLimits limits = {});

  // Takes output as it comes; lines may begin and end anywhere in it.
  void append(Generation generation, std::string_view output);
  // Ends an unfinished line: its server is gone.
  void finish(Generation generation);

  // Oldest first.
  const std::deque<LogLine>& lines() const { return lines_; }
  // The last lines of one server, at most `count`, oldest first.
  std::vector<std::string_view> tail(Generation generation, std::size_t count) const;

  // `listener` is called for each line that comes from now on, on the loop's thread, and must not
  // touch the ring. It may end subscriptions, its own included.
  [[nodiscard]] Subscription subscribe(Listener listener);

 private:
  void push(Generation generation);

  LogLimits limits_;
  std::deque<LogLine> lines_;
  std::size_t bytes_ = 0;
  std::uint64_t last_number_ = 0;
  std::string partial_;
  bool cut_ = false;  // the line in partial_ was longer than allowed
  Generation partial_generation_;
  std::vector<std::weak_ptr<Listener>> listeners_;
};

// Replaces bytes that are not valid UTF-8 by U+FFFD and drops control characters and terminal
// escapes.
std::string clean_text(std::string_view raw);

}  // namespace tonnage
