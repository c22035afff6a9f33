#include "engine/http_get.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>

#include "process/loop_fixture.h"

namespace tonnage {
namespace {

TEST(HttpAnswer, IsCompleteWithItsBody) {
  const std::string text = "HTTP/1.1 503 Busy\r\ncontent-LENGTH: 4\r\nX: y\r\n\r\nbody";
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(read_http_answer(std::string_view(text).substr(0, size), false).complete) << size;
  }
  const auto reading = read_http_answer(text + "junk", false);
  EXPECT_TRUE(reading.complete);
  EXPECT_EQ(reading.answer.status, 503);
  EXPECT_EQ(reading.answer.body, "body");
}

TEST(HttpAnswer, WithoutALengthItEndsWithTheConnection) {
  const std::string text = "HTTP/1.0 200 OK\r\n\r\nbody";
  EXPECT_FALSE(read_http_answer(text, false).complete);
  const auto reading = read_http_answer(text, true);
  EXPECT_EQ(reading.answer.status, 200);
  EXPECT_EQ(reading.answer.body, "body");
}

TEST(HttpAnswer, WhatBreaksOffOrIsNotHttpHasNoStatus) {
  for (const std::string_view text :
       {"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody",
        "SSH-2.0-x\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1\r\n\r\n"}) {
    const auto reading = read_http_answer(text, true);
    EXPECT_TRUE(reading.complete) << text;
    EXPECT_EQ(reading.answer.status, 0) << text;
  }
}

TEST(HttpAnswer, AnEndlessAnswerIsGivenUp) {
  const std::string endless(2 * 1024 * 1024, 'x');
  EXPECT_TRUE(read_http_answer(endless, false).complete);
  EXPECT_TRUE(read_http_answer("HTTP/1.1 200 OK\r\n\r\n" + endless, false).complete);
}

using HttpGetTest = LoopFixture;

std::pair<FileHandle, FileHandle> connected_pair() {
  std::array<int, 2> ends{};
  ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data());
  return {FileHandle(ends[0]), FileHandle(ends[1])};
}

TEST_F(HttpGetTest, AConnectionThatBreaksAnswersWithoutStatus) {
  auto [ours, theirs] = connected_pair();
  std::optional<HttpAnswer> answer;
  const auto get = HttpGet::start(loop_, std::move(ours), "/health",
                                  [&](HttpAnswer value) { answer = std::move(value); });
  theirs.reset();
  EXPECT_FALSE(answer);
  ASSERT_TRUE(run_until([&] { return answer.has_value(); }));
  EXPECT_EQ(answer->status, 0);
}

TEST_F(HttpGetTest, AnAlreadyBrokenConnectionIsNotReportedFromInsideStart) {
  auto [ours, theirs] = connected_pair();
  theirs.reset();
  std::optional<HttpAnswer> answer;
  const auto get = HttpGet::start(loop_, std::move(ours), "/health",
                                  [&](HttpAnswer value) { answer = std::move(value); });
  EXPECT_FALSE(answer);
  ASSERT_TRUE(run_until([&] { return answer.has_value(); }));
}

TEST_F(HttpGetTest, ADestroyedHandleIsSilent) {
  auto [ours, theirs] = connected_pair();
  auto get = HttpGet::start(loop_, std::move(ours), "/", [](const HttpAnswer&) { FAIL(); });
  get.reset();
  std::array<char, 256> buffer{};
  EXPECT_GT(::read(theirs.get(), buffer.data(), buffer.size()), 0);  // the request was sent
  EXPECT_EQ(::read(theirs.get(), buffer.data(), buffer.size()), 0);  // and the connection closed
  run_for(std::chrono::milliseconds(20));
}

TEST_F(HttpGetTest, NobodyListensOnWhatIsNotThere) {
  EXPECT_FALSE(connect_unix(scratch_.path() / "none.sock"));
  EXPECT_FALSE(connect_unix(std::string(300, 'x')));
}

}  // namespace
}  // namespace tonnage
