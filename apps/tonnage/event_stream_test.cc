#include "tonnage/event_stream.h"

#include <gtest/gtest.h>

namespace tonnage {
namespace {

std::string text_of(const std::vector<StreamEvent>& events) {
  std::string text;
  for (const StreamEvent& event : events)
    text += event.id + "/" + event.kind + "/" + event.data + ";";
  return text;
}

constexpr std::string_view kStream =
    ": a comment\n"
    "id: r-1\nevent: load\ndata: {\"a\":1}\n\n"
    "data: first\ndata: second\r\n\r\n"
    "retry: 5\n\n"
    "id: r-2\ndata:tight\n\n";
constexpr std::string_view kEvents =
    "r-1/load/{\"a\":1};r-1/message/first\nsecond;r-2/message/tight;";

TEST(EventStream, ReadsEventsWhereverTheyAreCut) {
  for (std::size_t cut = 0; cut <= kStream.size(); ++cut) {
    EventStreamReader reader;
    std::string text = text_of(reader.feed(kStream.substr(0, cut)));
    text += text_of(reader.feed(kStream.substr(cut)));
    EXPECT_EQ(text, kEvents) << cut;
    EXPECT_EQ(reader.last_id(), "r-2");
  }
}

TEST(EventStream, ANewConnectionForgetsHalfAnEventButNotWhereItWas) {
  EventStreamReader reader;
  EXPECT_EQ(text_of(reader.feed("id: r-1\ndata: x\n\nid: r-1\ndata: hal")), "r-1/message/x;");
  reader.restart();
  EXPECT_EQ(text_of(reader.feed("data: y\n\n")), "r-1/message/y;");
  EXPECT_EQ(reader.last_id(), "r-1");
}

}  // namespace
}  // namespace tonnage
