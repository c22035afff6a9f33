// ErrorEvents: finds the event by which a model server says that its stream failed.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace tonnage::net {

// Whole events of a stream pass through; the beginning of one waits for its end, without which no
// client can use it. One that may be an error is handed to `translate`, whose text takes its place
// and ends the stream; where it returns nothing, the event was none and passes on. What is looked
// for is the word: once in all that arrived together, and only where it stands in each event. What
// arrived in whole events is not copied.
class ErrorEvents {
 public:
  using Translate = std::move_only_function<std::optional<std::string>(std::string_view event)>;

  // An event longer than `event_max` is judged by its beginning and does not wait for its end.
  ErrorEvents(Translate translate, std::size_t event_max);

  // The bytes that go on now; valid until the next call, as long as `payload` is. `last`: the
  // server's stream ends with this payload.
  std::string_view pass(std::string_view payload, bool last);

  // The stream ends with what pass() returned.
  bool ended() const { return ended_; }

 private:
  std::string_view translated(std::string_view events);

  Translate translate_;
  const std::size_t event_max_;
  bool ended_ = false;
  std::string kept_;    // the beginning of an event
  std::string joined_;  // with it what came next
  std::string said_;    // what is returned when it ends in an error
};

}  // namespace tonnage::net
