// ErrorEvents: finds the event by which a model server says that its stream failed.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace tonnage::net {

// Bytes of an event stream pass through. An event that begins as an error does is kept until it is
// whole and handed to `translate`, whose text takes its place and ends the stream; where it returns
// nothing, the event was none and passes on. Only the first bytes of each event are compared, and
// what needs no change is not copied.
class ErrorEvents {
 public:
  using Translate = std::move_only_function<std::optional<std::string>(std::string_view event)>;

  // An event longer than `event_max` is handed over cut short.
  ErrorEvents(Translate translate, std::size_t event_max);

  // The bytes that go on now; valid until the next call, as long as `payload` is. `last`: the
  // server's stream ends with this payload.
  std::string_view pass(std::string_view payload, bool last);

  // The stream ends with what pass() returned.
  bool ended() const { return ended_; }

 private:
  // Looks from `at` on; where the bytes that go on end.
  std::size_t scan(std::string_view text, std::size_t at);
  std::string_view finish(std::string_view before, bool last);

  Translate translate_;
  const std::size_t event_max_;
  bool in_event_ = false;    // beyond the bytes that tell what an event is
  bool empty_line_ = true;   // nothing has come since the last line feed
  bool collecting_ = false;  // kept_ is an error
  bool ended_ = false;
  std::string kept_;    // the beginning of an event that may be an error, or is one
  std::string joined_;  // what is returned when it is not the payload itself
};

}  // namespace tonnage::net
