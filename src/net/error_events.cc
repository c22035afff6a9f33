#include "net/error_events.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tonnage::net {

namespace {

bool holds(std::string_view text, std::string_view word) {
  return ::memmem(text.data(), text.size(), word.data(), word.size()) != nullptr;
}

// In JSON the word is a key or a whole value where it stands between bare quotes; in a text that a
// model wrote they are escaped. The last is what llama.cpp wrote in 2023.
bool may_be_error(std::string_view event) {
  return holds(event, R"("error")") || event.starts_with("event: error") ||
         event.starts_with("event:error") || event.starts_with("error:");
}

// Where the first event of `text` ends, with its empty line; npos: it does not.
std::size_t event_end(std::string_view text) {
  for (std::size_t at = text.find('\n'); at != text.npos; at = text.find('\n', at + 1)) {
    const std::string_view rest = text.substr(at + 1, 2);
    if (rest.starts_with('\n'))
      return at + 2;
    if (rest == "\r\n")
      return at + 3;
  }
  return text.npos;
}

// Where the last whole event of `text` ends; 0: there is none.
std::size_t whole_events(std::string_view text) {
  for (std::size_t at = text.rfind('\n'); at != text.npos && at > 0;
       at = text.rfind('\n', at - 1)) {
    const char before = text[at - 1];
    if (before == '\n' || (before == '\r' && at > 1 && text[at - 2] == '\n'))
      return at + 1;
  }
  return 0;
}

}  // namespace

ErrorEvents::ErrorEvents(Translate translate, std::size_t event_max)
    : translate_(std::move(translate)), event_max_(event_max) {}

std::string_view ErrorEvents::pass(std::string_view payload, bool last) {
  std::string_view text = payload;
  if (!kept_.empty()) {
    kept_.append(payload);
    joined_.swap(kept_);
    kept_.clear();
    text = joined_;
  }
  std::size_t whole = last ? text.size() : whole_events(text);
  if (text.size() - whole > event_max_)
    whole = text.size();
  kept_.assign(text.substr(whole));
  const std::string_view events = text.substr(0, whole);
  return holds(events, "error") ? translated(events) : events;
}

std::string_view ErrorEvents::translated(std::string_view events) {
  for (std::size_t begin = 0; begin < events.size();) {
    const std::string_view rest = events.substr(begin);
    const std::size_t size = std::min(event_end(rest), rest.size());
    const std::string_view event = rest.substr(0, std::min(size, event_max_));
    if (may_be_error(event)) {
      if (auto said = translate_(event)) {
        said_.assign(events.substr(0, begin)).append(*said);
        ended_ = true;
        return said_;
      }
    }
    begin += size;
  }
  return events;
}

}  // namespace tonnage::net
