// The asynchronous client against a raw server: replies, time-outs, cancellation.
#include "http/client.h"

#include <cerrno>
#include <vector>

#include "http/blocking_client.h"
#include "http/socket_fixture.h"

namespace tonnage::net {
namespace {

class ClientTest : public SocketTest {
 protected:
  ClientTest() : model(path("m.sock")) {}

  ::testing::AssertionResult upstream_has(std::string_view text) {
    return until([&] {
      if (!upstream.is_open())
        model.accept(upstream);
      return upstream.has(text);
    });
  }
  void get(Duration timeout = 10s) {
    call = http_get(io, model.address(), "/health", timeout,
                    [this](ReplyOrNot r) { reply = std::move(r); });
  }

  RawServer model;
  RawSocket upstream;
  ClientCall call;
  std::optional<ReplyOrNot> reply;
};

TEST_F(ClientTest, GetsAReplyWithFieldsAndBody) {
  get();
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  EXPECT_TRUE(upstream.received.starts_with("GET /health HTTP/1.1\r\n"));
  upstream.send(
      "HTTP/1.1 503 Busy\r\nX-One: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
      "4\r\nload\r\n3\r\ning\r\n0\r\n\r\n");
  ASSERT_TRUE(until([&] { return reply.has_value(); }));
  ASSERT_TRUE(*reply) << reply->error().text();
  EXPECT_EQ((*reply)->status, 503);
  EXPECT_EQ((*reply)->body, "loading");
  EXPECT_EQ((*reply)->header("x-one"), "1");
}

TEST_F(ClientTest, PostsItsBody) {
  call = http_request(
      io, {.address = model.address(), .method = "POST", .target = "/slots/0", .body = "{}"},
      [this](ReplyOrNot r) { reply = std::move(r); });
  ASSERT_TRUE(upstream_has("content-length: 2\r\n\r\n{}"));
  upstream.send("HTTP/1.1 200 OK\r\n\r\nto the end");
  upstream.close();
  ASSERT_TRUE(until([&] { return reply.has_value(); }));
  EXPECT_EQ((**reply).body, "to the end");
}

TEST_F(ClientTest, SilenceEndsWithTheTimeoutInTheText) {
  get(20ms);
  ASSERT_TRUE(until([&] { return reply.has_value(); }));
  ASSERT_FALSE(*reply);
  EXPECT_NE(reply->error().text().find("no answer within 20ms"), std::string::npos);
}

TEST_F(ClientTest, AbsentServerIsAnErrorFromTheLoop) {
  call = http_get(io, unix_address(path("none.sock")), "/", 10s,
                  [this](ReplyOrNot r) { reply = std::move(r); });
  EXPECT_FALSE(reply.has_value());  // not from within the call
  ASSERT_TRUE(until([&] { return reply.has_value(); }));
  EXPECT_FALSE(*reply);
}

TEST_F(ClientTest, ReplyThatIsCutShortIsAnError) {
  get();
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
  upstream.close();
  ASSERT_TRUE(until([&] { return reply.has_value(); }));
  ASSERT_FALSE(*reply);
  EXPECT_EQ(reply->error().why, "the server closed the connection");
}

TEST_F(ClientTest, LongReplyIsAnError) {
  call = http_request(io, {.address = model.address(), .timeout = 10s, .reply_max = 10_B},
                      [this](ReplyOrNot r) { reply = std::move(r); });
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890");
  ASSERT_TRUE(until([&] { return reply.has_value(); }));
  EXPECT_FALSE(*reply);
}

TEST_F(ClientTest, AFullBacklogIsAnErrorAtOnceForWhoDoesNotWait) {
  const auto where = system_address(model.address());
  std::vector<RawSocket> waiting;
  for (int connected = 0; connected == 0;) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    waiting.emplace_back(fd);
    connected = ::connect(fd, where->get(), where->length);
    ASSERT_LT(waiting.size(), 1000U) << "the backlog has no end";
  }
  call = http_request(io, {.address = model.address(), .timeout = 10s, .wait_for_room = false},
                      [this](ReplyOrNot r) { reply = std::move(r); });
  EXPECT_FALSE(reply.has_value());
  ASSERT_TRUE(until([&] { return reply.has_value(); }));
  ASSERT_FALSE(*reply);
  EXPECT_EQ(reply->error().system, EAGAIN);
}

TEST_F(ClientTest, CancelEndsTheRequestWithoutACallback) {
  get();
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  call.cancel();
  ASSERT_TRUE(until([&] { return upstream.is_ended(); }));
  settle();
  EXPECT_FALSE(reply.has_value());
}

TEST_F(SocketTest, FetchSaysThatNobodyListens) {
  const auto reply = fetch({.address = unix_address(path("none.sock")), .timeout = 5s});
  ASSERT_FALSE(reply);
  EXPECT_NE(reply.error().why.find("No such file"), std::string::npos);
}

}  // namespace
}  // namespace tonnage::net
