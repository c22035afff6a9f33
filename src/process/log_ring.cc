#include "process/log_ring.h"

#include <algorithm>
#include <utility>

namespace tonnage {
namespace {

constexpr std::string_view kCutMark = " [cut]";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
// A line costs its text and this much around it, so that empty lines are bounded too.
constexpr std::size_t kLineOverheadBytes = sizeof(LogLine);

unsigned char byte_at(std::string_view text, std::size_t i) {
  return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
}

// Length of the valid UTF-8 sequence at `i` (table 3-7 of the Unicode standard), 0 when invalid.
std::size_t utf8_length(std::string_view text, std::size_t i) {
  const auto continues = [&](std::size_t at, unsigned low = 0x80, unsigned high = 0xBF) {
    const unsigned byte = byte_at(text, at);
    return byte >= low && byte <= high;
  };
  const unsigned first = byte_at(text, i);
  if (first < 0x80)
    return 1;
  if (first >= 0xC2 && first <= 0xDF)
    return continues(i + 1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned low = first == 0xE0 ? 0xA0 : 0x80;
    const unsigned high = first == 0xED ? 0x9F : 0xBF;
    return continues(i + 1, low, high) && continues(i + 2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const unsigned low = first == 0xF0 ? 0x90 : 0x80;
    const unsigned high = first == 0xF4 ? 0x8F : 0xBF;
    return continues(i + 1, low, high) && continues(i + 2) && continues(i + 3) ? 4 : 0;
  }
  return 0;
}

// Length of a terminal escape sequence that begins at `i` ("ESC [ ... letter"), at least 1.
std::size_t escape_length(std::string_view text, std::size_t i) {
  if (byte_at(text, i + 1) != '[')
    return 1;
  std::size_t end = i + 2;
  while (end < text.size() && byte_at(text, end) >= 0x20 && byte_at(text, end) < 0x40)
    ++end;
  return std::min(end + 1, text.size()) - i;
}

}  // namespace

std::string clean_text(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  std::size_t i = 0;
  while (i < raw.size()) {
    const unsigned char first = byte_at(raw, i);
    if (first == 0x1B) {
      i += escape_length(raw, i);
    } else if (first == '\t') {
      out += ' ';
      ++i;
    } else if (first < 0x20 || first == 0x7F) {
      ++i;
    } else if (const std::size_t length = utf8_length(raw, i); length > 0) {
      out += raw.substr(i, length);
      i += length;
    } else {
      out += kReplacement;
      ++i;
    }
  }
  return out;
}

LogRing::LogRing(LogLimits limits) : limits_(limits) {}

void LogRing::append(Generation generation, std::string_view output) {
  // Two servers of one model may overlap for a moment; their words must not share a line.
  if (generation != partial_generation_)
    finish(partial_generation_);
  partial_generation_ = generation;
  while (!output.empty()) {
    const std::size_t end = output.find('\n');
    const std::string_view piece = output.substr(0, end);
    const std::size_t room = limits_.line_bytes_max - partial_.size();
    if (piece.size() > room)
      cut_ = true;
    partial_ += piece.substr(0, room);
    if (end == std::string_view::npos)
      return;
    push(generation);
    output.remove_prefix(end + 1);
  }
}

void LogRing::finish(Generation generation) {
  if (generation == partial_generation_ && !partial_.empty())
    push(generation);
}

void LogRing::push(Generation generation) {
  std::string text = clean_text(partial_);
  if (cut_)
    text += kCutMark;
  partial_.clear();
  cut_ = false;
  bytes_ += text.size() + kLineOverheadBytes;
  lines_.push_back(
      LogLine{.number = ++last_number_, .generation = generation, .text = std::move(text)});
  while (bytes_ > limits_.bytes_max && lines_.size() > 1) {
    bytes_ -= lines_.front().text.size() + kLineOverheadBytes;
    lines_.pop_front();
  }
  if (listeners_.empty())
    return;
  std::erase_if(listeners_, [](const auto& listener) { return listener.expired(); });
  for (const auto& weak : listeners_) {
    // The copy keeps a listener alive that ends its own subscription while it runs.
    if (const auto listener = weak.lock())
      (*listener)(lines_.back());
  }
}

std::vector<std::string_view> LogRing::tail(Generation generation, std::size_t count) const {
  std::vector<std::string_view> out;
  for (auto line = lines_.rbegin(); line != lines_.rend() && out.size() < count; ++line) {
    if (line->generation == generation)
      out.push_back(line->text);
  }
  std::ranges::reverse(out);
  return out;
}

LogRing::Subscription LogRing::subscribe(Listener listener) {
  auto shared = std::make_shared<Listener>(std::move(listener));
  listeners_.push_back(shared);
  return Subscription(std::move(shared));
}

}  // namespace tonnage
