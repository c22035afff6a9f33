// Streams, whoever begins them: one head, errors within, heartbeats, and what is told of answers.
#include "net/net_fixture.h"

namespace tonnage::net {
namespace {

class StreamTest : public NetTest {
 protected:
  StreamTest() : model(path("m.sock")) {}

  ::testing::AssertionResult upstream_has(std::string_view text) {
    return until([&] {
      if (!upstream.is_open())
        model.accept(upstream);
      return upstream.has(text);
    });
  }
  // A request that waits at this server, its stream begun.
  RawSocket waiting_client(std::string_view request = post_text("{}")) {
    serve_held();
    RawSocket socket = client_sending(request);
    EXPECT_TRUE(until([&] { return held.size() == 1; }));
    held[0]->begin_stream(200, "text/event-stream", {{"Cache-Control", "max-age=9"}});
    return socket;
  }
  void relay_held() {
    RelayTarget target = make_target(model.address(), *held[0]);
    target.stream_already_begun = true;
    held[0]->relay(std::move(target), [this](RelayResult r) { keep(std::move(r)); });
    ASSERT_TRUE(upstream_has("{}"));
  }
  static void expect_stream_head(const std::string& received) {
    const std::string head = received.substr(0, received.find("\r\n\r\n"));
    EXPECT_EQ(count_of(head, "ccel-"), 1u) << head;
    EXPECT_EQ(count_of(head, "\r\nx-accel-buffering: no"), 1u) << head;
    EXPECT_EQ(count_of(head, "ache-"), 1u) << head;
    EXPECT_NE(head.find("no-store"), head.npos) << head;
    EXPECT_EQ(count_of(head, "\r\ndate: "), 1u) << head;
  }
  static std::string chunk(std::string_view data) {
    char size[20];
    std::snprintf(size, sizeof(size), "%zx\r\n", data.size());
    return size + std::string(data) + "\r\n";
  }

  RawServer model;
  RawSocket upstream;
};

TEST_F(StreamTest, BegunHereForbidsStoringAndBuffering) {
  RawSocket socket = waiting_client();
  held[0]->send("data: 1\n\n");
  ASSERT_TRUE(until([&] { return socket.has("data: 1"); }));
  expect_stream_head(socket.received);
}

TEST_F(StreamTest, BegunByTheServerHasTheSameHead) {
  serve_relay(model.address());
  for (const char* fields : {"", "X-Accel-Buffering: no\r\n", "Cache-Control: max-age=3\r\n"}) {
    upstream.close();
    upstream.received.clear();
    RawSocket socket = client_sending(post_text("{}"));
    ASSERT_TRUE(upstream_has("{}"));
    upstream.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n" +
                  std::string(fields) + "Transfer-Encoding: chunked\r\n\r\n" +
                  chunk("data: 1\n\n"));
    ASSERT_TRUE(until([&] { return socket.has("data: 1"); }));
    expect_stream_head(socket.received);
  }
}

TEST_F(StreamTest, WholeAnswersKeepWhatTheyHad) {
  serve_relay(model.address());
  RawSocket socket = client_sending(post_text("{}"));
  ASSERT_TRUE(upstream_has("{}"));
  upstream.send(
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Accel-Buffering: no\r\n"
      "Cache-Control: max-age=3\r\nDate: never\r\nContent-Length: 2\r\n\r\n{}");
  ASSERT_TRUE(until([&] { return socket.has("\r\n\r\n{}"); }));
  EXPECT_FALSE(socket.has("ccel-"));
  EXPECT_TRUE(socket.has("Cache-Control: max-age=3\r\n"));
  EXPECT_EQ(count_of(socket.received, "ate: "), 1u);
  EXPECT_EQ(date_line(socket.received).size(), std::string("date: \r\n").size() + 29);
}

TEST_F(StreamTest, EndsCleanlyForHttp10) {
  RawSocket socket = waiting_client("POST /a HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}");
  held[0]->send("data: 1\n\n");
  held[0]->end_stream();
  ASSERT_TRUE(until([&] { return socket.is_ended(); }));
  EXPECT_TRUE(socket.received.ends_with("\r\n\r\ndata: 1\n\n"));
  EXPECT_FALSE(socket.was_reset);
}

TEST_F(StreamTest, AnErrorOfTheServerIsTranslatedAndEndsIt) {
  adjust = [](RelayTarget& target) {
    target.on_error_event = [](std::string_view event) -> std::optional<std::string> {
      EXPECT_EQ(event, "data: {\"error\":{\"code\":500}}\n\n");
      return "data: translated\n\n";
    };
  };
  for (const bool begun : {false, true}) {
    results.clear();
    held.clear();
    upstream.close();
    upstream.received.clear();
    RawSocket socket;
    if (begun) {
      socket = waiting_client();
      relay_held();
    } else {
      serve_relay(model.address());
      socket = client_sending(post_text("{}"));
      ASSERT_TRUE(upstream_has("{}"));
    }
    upstream.send(kSseHead + chunk("data: 1\n\n"));
    ASSERT_TRUE(until([&] { return socket.has("data: 1\n\n"); }));
    upstream.send(chunk("data: {\"err") + chunk("or\":{\"code\":500}}\n\n") +
                  chunk("data: [DONE]\n\n") + "0\r\n\r\n");
    ASSERT_TRUE(until([&] { return !results.empty(); }));
    EXPECT_EQ(results[0].end, RelayResult::End::complete);
    EXPECT_TRUE(results[0].error_event);
    ASSERT_TRUE(until([&] { return socket.has("\r\n0\r\n\r\n"); }));
    EXPECT_NE(socket.received.find("data: translated\n\n"), std::string::npos);
    EXPECT_EQ(count_of(socket.received, "DONE"), 0u);
    EXPECT_EQ(count_of(socket.received, "\"err"), 0u);
  }
}

TEST_F(StreamTest, ASilentStreamHasAHeartbeat) {
  limits.heartbeat_every = 10ms;
  RawSocket socket = waiting_client();
  ASSERT_TRUE(until([&] {
    socket.pump();
    return count_of(socket.received, ": tonnage alive\n\n") >= 2;
  }));
  // Under a relay too, until the server's first byte; then its events are not broken up.
  relay_held();
  const std::size_t before = count_of(socket.received, "alive");
  ASSERT_TRUE(until([&] {
    socket.pump();
    return count_of(socket.received, "alive") > before + 1;
  }));
  upstream.send(kSseHead + chunk("data: {\"half"));
  ASSERT_TRUE(until([&] { return socket.has("data: {\"half"); }));
  const std::size_t then = count_of(socket.received, "alive");
  std::size_t turns = 0;
  ASSERT_TRUE(until([&] { return ++turns > 50; }));
  upstream.send(chunk("\"}\n\n") + "0\r\n\r\n");
  ASSERT_TRUE(until([&] { return socket.has("\r\n0\r\n\r\n"); }));
  EXPECT_EQ(count_of(socket.received, "alive"), then);
}

TEST_F(StreamTest, ASilentTextHasEmptyLines) {
  limits.heartbeat_every = 10ms;
  serve_held();
  RawSocket socket = client_sending(kGet);
  ASSERT_TRUE(until([&] { return held.size() == 1; }));
  held[0]->begin_stream(200, "text/plain");
  ASSERT_TRUE(until([&] { return socket.has("\r\n\r\n1\r\n\n\r\n"); }));
}

struct Told {
  std::string path;
  int status = 0;
  std::uint64_t bytes_out = 0;
  bool left = false;
  friend bool operator==(const Told&, const Told&) = default;
};

TEST_F(StreamTest, EveryAnswerIsToldOnce) {
  std::vector<Told> told;
  serve_held();
  server->set_on_answer([&](const AnswerRecord& record) {
    told.push_back({std::string(record.path), record.status, record.bytes_out, record.client_left});
  });
  server->set_head_check([](const Exchange& exchange) -> std::optional<Response> {
    if (exchange.path() == "/no")
      return Response{.status = 401, .content_type = {}, .headers = {}, .body = "no key"};
    return std::nullopt;
  });
  RawSocket socket = client_sending("GET /whole?key=secret HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(until([&] { return held.size() == 1; }));
  held[0]->respond({.body = "four"});
  socket.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(until([&] { return held.size() == 2; }));
  held[1]->begin_stream(200, "text/plain");
  held[1]->send("abc");
  held[1]->end_stream();
  socket.send("GET /no HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(until([&] { return told.size() == 3; }));
  socket.send("GET /left HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(until([&] { return held.size() == 3; }));
  socket.close();
  ASSERT_TRUE(until([&] { return told.size() == 4; }));
  RawSocket bad = client_sending("nonsense\r\n\r\n");
  ASSERT_TRUE(until([&] { return told.size() == 5; }));
  EXPECT_EQ(told[0], (Told{"/whole", 200, 4, false}));
  EXPECT_EQ(told[1], (Told{"/stream", 200, 3, false}));
  EXPECT_EQ(told[2], (Told{"/no", 401, 6, false}));
  EXPECT_EQ(told[3], (Told{"/left", 0, 0, true}));
  EXPECT_EQ(told[4].status, 400);
}

}  // namespace
}  // namespace tonnage::net
