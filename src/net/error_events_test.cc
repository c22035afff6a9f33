// Errors in the middle of a server's event stream, however its bytes arrive.
#include "net/error_events.h"

#include <vector>

#include <gtest/gtest.h>

namespace tonnage::net {
namespace {

class ErrorEventsTest : public ::testing::Test {
 protected:
  // What a client gets of `text` when it arrives in pieces of `size` bytes.
  std::string passed(std::string_view text, std::size_t size, std::size_t event_max = 1000) {
    errors.clear();
    ErrorEvents events(
        [this](std::string_view event) -> std::optional<std::string> {
          errors.emplace_back(event);
          if (event.find("null") != event.npos)
            return std::nullopt;
          return "ERROR";
        },
        event_max);
    std::string out;
    while (!text.empty() && !events.ended()) {
      const std::string piece(text.substr(0, size));
      text.remove_prefix(piece.size());
      out += events.pass(piece, text.empty());
    }
    ended = events.ended();
    return out;
  }

  std::vector<std::string> errors;
  bool ended = false;
};

TEST_F(ErrorEventsTest, WhatIsNoErrorPassesUnchanged) {
  const std::string text =
      ": comment\n\ndata: {\"a\":1,\"errors\":2}\n\nevent: erratic\ndata: {\"erro\":1}\r\n\r\n"
      "data: {\"content\":\"the key \\\"error\\\": an error\"}\n\ndata: {\"err";
  for (std::size_t size = 1; size <= text.size(); ++size) {
    EXPECT_EQ(passed(text, size), text) << size;
    EXPECT_TRUE(errors.empty()) << size;
    EXPECT_FALSE(ended);
  }
}

TEST_F(ErrorEventsTest, AnErrorIsReplacedAndEndsTheStream) {
  for (const std::string event :
       {"data: {\"error\":{\"message\":\"a\\nb\"}}\n\n", "event: error\ndata: {\"code\":500}\n\n",
        "error: {\"code\":500}\n\n", "data: {\"error\":1}\r\n\r\n",
        "data:  { \"error\" : {\"message\":\"a\"} }\n\n",
        "id: 7\ndata: {\"id\":\"x\",\"choices\":[],\"error\":{\"code\":500}}\n\n",
        "data: {\"message\":\"a\",\"object\": \"error\"}\n\n"}) {
    const std::string text = "data: 1\n\n" + event + "data: [DONE]\n\n";
    for (std::size_t size = 1; size <= text.size(); ++size) {
      EXPECT_EQ(passed(text, size), "data: 1\n\nERROR") << event << size;
      EXPECT_EQ(errors, std::vector<std::string>{event}) << size;
      EXPECT_TRUE(ended);
    }
  }
}

TEST_F(ErrorEventsTest, WholeEventsAreNotCopied) {
  ErrorEvents events([](std::string_view) { return std::nullopt; }, 1000);
  const std::string text = "data: 1\n\ndata: \"error\"\n\n";
  EXPECT_EQ(events.pass(text, false).data(), text.data());
  EXPECT_EQ(events.pass("data: 2\n\ndata", false), "data: 2\n\n");
  EXPECT_EQ(events.pass(": 3\n", false), "");
  EXPECT_EQ(events.pass("\n", false), "data: 3\n\n");
}

TEST_F(ErrorEventsTest, AnErrorMayBeTheFirstEventAndCutShort) {
  EXPECT_EQ(passed("data: {\"error\":{", 3), "ERROR");
  EXPECT_EQ(errors, std::vector<std::string>{"data: {\"error\":{"});
}

TEST_F(ErrorEventsTest, ALongErrorIsBounded) {
  const std::string text = "data: {\"error\":" + std::string(5000, 'x') + "\n\n";
  EXPECT_EQ(passed(text, 64, 100), "ERROR");
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].size(), 100u);
}

TEST_F(ErrorEventsTest, ALongEventDoesNotWaitForItsEnd) {
  const std::string text = "data: " + std::string(5000, 'x') + "\n\n";
  ErrorEvents events([](std::string_view) { return std::nullopt; }, 100);
  EXPECT_EQ(events.pass(std::string_view(text).substr(0, 200), false).size(), 200u);
  EXPECT_EQ(passed(text, 64, 100), text);
}

TEST_F(ErrorEventsTest, AnEventThatOnlyLooksLikeOnePasses) {
  const std::string text =
      "data: {\"error\":null,\"a\":1}\n\ndata: 2\n\ndata: {\"error\":null}\n\ndata: 3\n\n";
  for (std::size_t size = 1; size <= text.size(); ++size) {
    EXPECT_EQ(passed(text, size), text) << size;
    EXPECT_EQ(errors.size(), 2u);
    EXPECT_FALSE(ended);
  }
  EXPECT_EQ(passed(text + "event: error\ndata: x\n\n", 7), text + "ERROR");
}

}  // namespace
}  // namespace tonnage::net
