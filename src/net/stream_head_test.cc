#include "net/stream_head.h"

#include <gtest/gtest.h>

namespace tonnage::net {
namespace {

TEST(StreamHead, KnowsWhatIsReadWhileItArrives) {
  EXPECT_TRUE(is_stream_type("text/event-stream"));
  EXPECT_TRUE(is_stream_type("Text/Event-Stream ; charset=utf-8"));
  EXPECT_TRUE(is_stream_type("application/x-ndjson"));
  EXPECT_FALSE(is_stream_type("application/json"));
  EXPECT_FALSE(is_stream_type(""));
}

TEST(StreamHead, HasOneAuthorForItsFields) {
  EXPECT_TRUE(is_own_field("X-Accel-Buffering", false));
  EXPECT_TRUE(is_own_field("Date", false));
  EXPECT_TRUE(is_own_field("Cache-Control", true));
  EXPECT_FALSE(is_own_field("Cache-Control", false));
  EXPECT_FALSE(is_own_field("Content-Type", true));
}

TEST(DateText, IsTheDateOfHttp) {
  DateText date;
  EXPECT_EQ(date.at(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(date.at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(date.now().size(), 29u);
}

}  // namespace
}  // namespace tonnage::net
