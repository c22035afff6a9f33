#include "process/log_ring.h"

#include <string>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

constexpr Generation kFirst{1};
constexpr Generation kSecond{2};

std::vector<std::string> texts(const LogRing& ring) {
  std::vector<std::string> out;
  for (const auto& line : ring.lines())
    out.push_back(line.text);
  return out;
}

TEST(LogRing, LinesMayArriveInPieces) {
  LogRing ring;
  ring.append(kFirst, "one\ntw");
  EXPECT_EQ(texts(ring), (std::vector<std::string>{"one"}));
  ring.append(kFirst, "o\n\nthree");
  ring.finish(kFirst);
  EXPECT_EQ(texts(ring), (std::vector<std::string>{"one", "two", "", "three"}));
}

TEST(LogRing, ForgetsTheOldestLinesAboveItsBound) {
  LogRing ring({.bytes_max = 4096, .line_bytes_max = 100});
  for (int i = 0; i < 1000; ++i)
    ring.append(kFirst, "line " + std::to_string(i) + "\n");
  EXPECT_LT(ring.lines().size(), 100U);
  EXPECT_GT(ring.lines().size(), 10U);
  EXPECT_EQ(ring.lines().back().text, "line 999");
  EXPECT_EQ(ring.lines().back().number, 1000U);
}

TEST(LogRing, EmptyLinesAreBoundedToo) {
  LogRing ring({.bytes_max = 4096, .line_bytes_max = 100});
  ring.append(kFirst, std::string(100'000, '\n'));
  EXPECT_LT(ring.lines().size(), 100U);
}

TEST(LogRing, CutsALongLineAndSaysSo) {
  LogRing ring({.bytes_max = 4096, .line_bytes_max = 10});
  ring.append(kFirst, "0123456");
  ring.append(kFirst, "789abcdef");
  ring.append(kFirst, "more\nnext\n");
  EXPECT_EQ(texts(ring), (std::vector<std::string>{"0123456789 [cut]", "next"}));
}

TEST(LogRing, ALineOfExactlyTheBoundIsWhole) {
  LogRing ring({.bytes_max = 4096, .line_bytes_max = 10});
  ring.append(kFirst, "0123456789\n");
  EXPECT_EQ(texts(ring), (std::vector<std::string>{"0123456789"}));
}

TEST(LogRing, TwoServersOfOneModelDoNotShareALine) {
  LogRing ring;
  ring.append(kFirst, "old one says");
  ring.append(kSecond, "new one\n");
  ring.append(kFirst, "bye\n");
  EXPECT_EQ(texts(ring), (std::vector<std::string>{"old one says", "new one", "bye"}));
  EXPECT_EQ(ring.tail(kFirst, 9), (std::vector<std::string_view>{"old one says", "bye"}));
  EXPECT_EQ(ring.tail(kFirst, 1), (std::vector<std::string_view>{"bye"}));
}

TEST(LogRing, SubscribersHearEachLineUntilTheyLeave) {
  LogRing ring;
  std::vector<std::uint64_t> numbers;
  LogRing::Subscription self_ending;
  int once = 0;
  self_ending = ring.subscribe([&](const LogLine&) {
    ++once;
    self_ending = {};
  });
  {
    const auto kept = ring.subscribe([&](const LogLine& line) { numbers.push_back(line.number); });
    ring.append(kFirst, "a\nb\nc");
  }
  ring.append(kFirst, "\nd\n");
  EXPECT_EQ(numbers, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(once, 1);
}

TEST(CleanText, KeepsWhatIsValidAndReplacesTheRest) {
  EXPECT_EQ(clean_text("plain"), "plain");
  EXPECT_EQ(clean_text("gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80"),
            "gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80");
  EXPECT_EQ(clean_text("a\x80z"), "a\xEF\xBF\xBDz");
  EXPECT_EQ(clean_text("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD");              // overlong
  EXPECT_EQ(clean_text("\xED\xA0\x80").find("\xED"), std::string::npos);      // surrogate
  EXPECT_EQ(clean_text("\xF4\x90\x80\x80").find("\xF4"), std::string::npos);  // too large
  EXPECT_EQ(clean_text("cut \xE2\x82"), "cut \xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(clean_text(std::string("a\0b\r", 4)), "ab");
  EXPECT_EQ(clean_text("a\tb"), "a b");
  EXPECT_EQ(clean_text("\x1B[1;31mred\x1B[0m \x1B]x\x1B["), "red ]x");
}

}  // namespace
}  // namespace tonnage
