#include "tonnage/event_stream.h"

#include <utility>

namespace tonnage {

std::vector<StreamEvent> EventStreamReader::feed(std::string_view piece) {
  std::vector<StreamEvent> events;
  for (;;) {
    const std::size_t end = piece.find('\n');
    line_ += piece.substr(0, end);
    if (end == std::string_view::npos)
      return events;
    piece.remove_prefix(end + 1);
    if (line_.ends_with('\r'))
      line_.pop_back();
    take_line(line_, events);
    line_.clear();
  }
}

void EventStreamReader::restart() {
  line_.clear();
  kind_.clear();
  data_.clear();
  has_data_ = false;
}

void EventStreamReader::take_line(std::string_view line, std::vector<StreamEvent>& events) {
  if (line.empty()) {
    if (has_data_)
      events.push_back({last_id_, kind_.empty() ? "message" : kind_, data_});
    kind_.clear();
    data_.clear();
    has_data_ = false;
    return;
  }
  const std::size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (value.starts_with(' '))
    value.remove_prefix(1);
  if (name == "data") {
    if (has_data_)
      data_ += '\n';
    data_ += value;
    has_data_ = true;
  } else if (name == "event") {
    kind_ = value;
  } else if (name == "id") {
    last_id_ = value;
  }  // comments, and fields that mean nothing here
}

}  // namespace tonnage
