#include "net/error_events.h"

#include <algorithm>
#include <array>
#include <utility>

namespace tonnage::net {

namespace {

// How the event of an error begins. The last is what llama.cpp wrote in 2023.
constexpr std::array<std::string_view, 7> kBeginnings = {R"(data: {"error")",
                                                         R"(data:{"error")",
                                                         R"(data: {"object":"error")",
                                                         R"(data: {"type":"error")",
                                                         "event: error",
                                                         "event:error",
                                                         "error:"};

enum class Verdict : std::uint8_t { no, open, yes };

Verdict verdict_of(std::string_view text) {
  Verdict verdict = Verdict::no;
  for (const std::string_view beginning : kBeginnings) {
    if (text.starts_with(beginning))
      return Verdict::yes;
    if (beginning.starts_with(text))
      verdict = Verdict::open;
  }
  return verdict;
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

}  // namespace

ErrorEvents::ErrorEvents(Translate translate, std::size_t event_max)
    : translate_(std::move(translate)), event_max_(event_max) {}

std::string_view ErrorEvents::pass(std::string_view payload, bool last) {
  if (collecting_) {
    kept_.append(payload);
    return finish({}, last);
  }
  std::string before;
  if (!kept_.empty()) {
    joined_ = std::exchange(kept_, {}).append(payload);
    payload = joined_;
  }
  const std::size_t end = scan(payload, 0);
  if (end == payload.size())
    return payload;
  if (collecting_ || last) {
    // finish() may write joined_, which `payload` may point into.
    kept_.assign(payload.substr(end));
    before.assign(payload.substr(0, end));
    if (collecting_)
      return finish(before, last);
    joined_ = std::move(before) + std::exchange(kept_, {});
    return joined_;
  }
  kept_.assign(payload.substr(end));
  return payload.substr(0, end);
}

std::size_t ErrorEvents::scan(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    if (!in_event_) {
      const Verdict verdict = verdict_of(text.substr(at));
      if (verdict != Verdict::no) {
        collecting_ = verdict == Verdict::yes;
        return at;
      }
      in_event_ = true;
      empty_line_ = true;
    }
    const std::size_t feed = text.find('\n', at);
    const std::string_view line = text.substr(at, feed == text.npos ? feed : feed - at);
    empty_line_ = empty_line_ && (line.empty() || line == "\r");
    if (feed == text.npos)
      return text.size();
    at = feed + 1;
    in_event_ = !empty_line_;
    empty_line_ = true;
  }
  return at;
}

std::string_view ErrorEvents::finish(std::string_view before, bool last) {
  joined_.assign(before);
  while (collecting_) {
    const std::size_t end = event_end(kept_);
    if (end == kept_.npos && !last && kept_.size() < event_max_)
      return joined_;
    const std::string event = kept_.substr(0, std::min({end, kept_.size(), event_max_}));
    if (auto said = translate_(event)) {
      joined_ += *said;
      ended_ = true;
      return joined_;
    }
    // No error: it goes on, and the search with it.
    const std::string rest = std::exchange(kept_, {});
    collecting_ = false;
    const std::size_t passed = end == rest.npos ? rest.size() : end;
    in_event_ = end == rest.npos;
    empty_line_ = rest.ends_with('\n');
    const std::size_t next = in_event_ ? passed : scan(rest, passed);
    joined_.append(rest, 0, next);
    kept_ = rest.substr(next);
  }
  if (last)
    joined_ += std::exchange(kept_, {});
  return joined_;
}

}  // namespace tonnage::net
