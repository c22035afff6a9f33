// EventStreamReader: server-sent events out of a stream that arrives in pieces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tonnage {

struct StreamEvent {
  std::string id;    // the latest that the stream gave, as the standard has it
  std::string kind;  // "message" where it gives none
  std::string data;
};

class EventStreamReader {
 public:
  // The events that `piece` completes.
  std::vector<StreamEvent> feed(std::string_view piece);

  // What to send as Last-Event-ID; empty before the first.
  const std::string& last_id() const { return last_id_; }
  // A new connection begins: half an event of the old one is forgotten.
  void restart();

 private:
  void take_line(std::string_view line, std::vector<StreamEvent>& events);

  std::string line_;
  std::string kind_;
  std::string data_;
  std::string last_id_;
  bool has_data_ = false;
};

}  // namespace tonnage
