// How answers of model servers reach clients: framing, events, back-pressure, bodies, reuse.
#include "net/relay.h"

#include "net/net_fixture.h"

namespace tonnage::net {
namespace {

class RelayTest : public NetTest {
 protected:
  RelayTest() : model(path("m.sock")) {}

  // One request has arrived whole at the model server.
  ::testing::AssertionResult upstream_has(std::string_view text) {
    return until([&] {
      if (!upstream.is_open())
        model.accept(upstream);
      return upstream.has(text);
    });
  }
  ::testing::AssertionResult ended() {
    return until([&] { return !results.empty(); });
  }

  RawServer model;
  RawSocket upstream;
};

std::string chunk(std::string_view data) {
  char size[20];
  std::snprintf(size, sizeof(size), "%zx\r\n", data.size());
  return size + std::string(data) + "\r\n";
}

TEST_F(RelayTest, RelaysRequestAndAnswerWithEndToEndFieldsOnly) {
  adjust = [](RelayTarget& target) {
    target.response_headers = {{"x-tonnage-model", "m"}, {"Server", "tonnage"}};
    target.request_headers = {{"x-request-id", "7"}};
    target.drop_request_headers = {"authorization"};
  };
  serve_relay(model.address());
  RawSocket socket =
      client_sending(post_text("{\"a\":1}",
                               "Authorization: Bearer s\r\nConnection: keep-alive, X-Hop\r\n"
                               "X-Hop: 1\r\nX-End: 2\r\nTE: trailers\r\nUpgrade: h2c\r\n"));
  ASSERT_TRUE(upstream_has("{\"a\":1}"));
  const std::string& request = upstream.received;
  EXPECT_TRUE(request.starts_with("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"));
  EXPECT_NE(request.find("X-End: 2\r\n"), std::string::npos);
  EXPECT_NE(request.find("x-request-id: 7\r\n"), std::string::npos);
  for (const char* hop : {"Authorization", "X-Hop", "TE:", "Upgrade", "onnection"}) {
    EXPECT_EQ(request.find(hop), std::string::npos) << hop << "\n" << request;
  }
  upstream.send(
      "HTTP/1.1 201 Made\r\nServer: llama\r\nKeep-Alive: timeout=5\r\n"
      "X-Model: z\r\nContent-Length: 4\r\n\r\ndone");
  ASSERT_TRUE(until([&] { return socket.has("\r\n\r\ndone"); }));
  EXPECT_EQ(without_dates(socket.received),
            "HTTP/1.1 201 Created\r\nX-Model: z\r\nx-tonnage-model: m\r\nServer: tonnage\r\n"
            "content-length: 4\r\n\r\ndone");
  ASSERT_TRUE(ended());
  EXPECT_EQ(results[0].end, RelayResult::End::complete);
  EXPECT_EQ(results[0].status, 201);
  EXPECT_EQ(results[0].body_bytes, 4u);
  EXPECT_TRUE(results[0].first_byte_time.has_value());
}

// Tokens that proxies add are longer than a model server takes, and it needs none of them.
TEST_F(RelayTest, FieldsThatAServerWouldNotTakeStayHere) {
  serve_relay(model.address());
  std::string fields = "X-Token: " + std::string(9000, 't') + "\r\n";
  for (int i = 0; i < 120; ++i)
    fields += "X-" + std::to_string(i) + ": a\r\n";
  RawSocket socket = client_sending(post_text("{}", fields + "Accept: text/event-stream\r\n"));
  ASSERT_TRUE(upstream_has("\r\n\r\n{}"));
  const std::string& request = upstream.received;
  EXPECT_EQ(request.find("X-Token"), std::string::npos);
  EXPECT_NE(request.find("X-0: a\r\n"), std::string::npos);
  EXPECT_EQ(request.find("X-119"), std::string::npos);
  EXPECT_NE(request.find("Accept: text/event-stream\r\n"), std::string::npos);
  EXPECT_LT(count_of(request, "\r\n"), 80u);
}

TEST_F(RelayTest, WhichPagesMayReadIsNotTheServersWord) {
  adjust = [](RelayTarget& target) {
    target.response_headers = {{"Access-Control-Allow-Origin", "http://ours"}};
  };
  serve_relay(model.address());
  RawSocket socket = client_sending(kGet);
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  upstream.send(
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAccess-Control-Allow-Origin: null\r\n"
      "Access-Control-Allow-Credentials: true\r\n\r\nok");
  ASSERT_TRUE(until([&] { return socket.has("\r\n\r\nok"); }));
  EXPECT_EQ(count_of(socket.received, "Access-Control-Allow-Origin"), 1u);
  EXPECT_TRUE(socket.has("http://ours"));
  EXPECT_FALSE(socket.has("Credentials"));
}

TEST_F(RelayTest, ChunkedRequestGoesOnWithItsLength) {
  serve_relay(model.address());
  RawSocket socket =
      client_sending("POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
                     chunk("hello ") + chunk("world") + "0\r\n\r\n");
  ASSERT_TRUE(upstream_has("\r\n\r\nhello world"));
  EXPECT_NE(upstream.received.find("content-length: 11\r\n"), std::string::npos);
  EXPECT_EQ(upstream.received.find("ransfer-"), std::string::npos);
}

TEST_F(RelayTest, EachEventPassesAtOnce) {
  serve_relay(model.address());
  RawSocket socket = client_sending(post_text("{}"));
  ASSERT_TRUE(upstream_has("{}"));
  upstream.send(kSseHead);
  settle();
  EXPECT_FALSE(socket.has("HTTP/1.1"));  // held back until there is a body byte
  for (int i = 0; i < 5; ++i) {
    const std::string event = "data: " + std::to_string(i) + "\n\n";
    upstream.send(chunk(event));
    ASSERT_TRUE(until([&] { return socket.has(event); })) << i;
    EXPECT_TRUE(results.empty());
  }
  upstream.send("0\r\n\r\n");
  ASSERT_TRUE(ended());
  ASSERT_TRUE(until([&] { return socket.has("0\r\n\r\n"); }));
  EXPECT_EQ(results[0].end, RelayResult::End::complete);
}

TEST_F(RelayTest, AnswerThatDribblesByteByByteArrivesWhole) {
  serve_relay(model.address());
  RawSocket socket = client_sending(post_text("{}"));
  ASSERT_TRUE(upstream_has("{}"));
  const std::string answer = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + kSseHead +
                             chunk("data: abc\n\n") + chunk("data: d\n\n") + "0\r\n\r\n";
  for (const char c : answer) {
    upstream.send(std::string_view(&c, 1));
    settle();
  }
  ASSERT_TRUE(ended());
  EXPECT_EQ(results[0].end, RelayResult::End::complete);
  EXPECT_EQ(results[0].body_bytes, 20u);
  ASSERT_TRUE(until([&] { return socket.has("\r\n0\r\n\r\n"); }));
  EXPECT_EQ(count_of(socket.received, "103"), 0u);
}

TEST_F(RelayTest, ManyChunksOfOneReadBecomeOne) {
  serve_relay(model.address());
  RawSocket socket = client_sending(post_text("{}"));
  ASSERT_TRUE(upstream_has("{}"));
  upstream.send(kSseHead + chunk("ab") + chunk("cde") + chunk("f") + "0\r\n\r\n");
  ASSERT_TRUE(ended());
  ASSERT_TRUE(until([&] { return socket.has("\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n"); }));
}

TEST_F(RelayTest, AnswerUntilCloseBecomesChunked) {
  serve_relay(model.address());
  RawSocket socket = client_sending(post_text("{}"));
  ASSERT_TRUE(upstream_has("{}"));
  upstream.send("HTTP/1.0 200 OK\r\n\r\nold");
  ASSERT_TRUE(until([&] { return socket.has("3\r\nold\r\n"); }));
  upstream.close();
  ASSERT_TRUE(ended());
  EXPECT_EQ(results[0].end, RelayResult::End::complete);
  ASSERT_TRUE(until([&] { return socket.has("0\r\n\r\n"); }));
}

TEST_F(RelayTest, Http10ClientGetsAnUnchunkedBody) {
  serve_relay(model.address());
  RawSocket socket = client_sending("GET /a HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  upstream.send(kSseHead + chunk("data: x\n\n") + "0\r\n\r\n");
  ASSERT_TRUE(until([&] { return socket.is_ended(); }));
  EXPECT_TRUE(socket.received.ends_with("\r\n\r\ndata: x\n\n")) << socket.received;
  EXPECT_EQ(count_of(socket.received, "chunked"), 0u);
}

TEST_F(RelayTest, HeadAndEmptyAnswersCarryNoBody) {
  serve_relay(model.address());
  RawSocket socket = client_sending("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n" + kGet + kGet);
  ASSERT_TRUE(upstream_has("HEAD /a HTTP/1.1"));
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n");
  ASSERT_TRUE(upstream_has("GET /a HTTP/1.1"));
  upstream.received.clear();
  upstream.send("HTTP/1.1 204 No Content\r\n\r\n");
  ASSERT_TRUE(upstream_has("GET /a HTTP/1.1"));
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(until([&] { return results.size() == 3; }));
  ASSERT_TRUE(until([&] { return socket.has("content-length: 0\r\n"); }));
  EXPECT_EQ(without_dates(socket.received),
            "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n"
            "HTTP/1.1 204 No Content\r\n\r\n"
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  EXPECT_EQ(server->stats().upstream_connects, 1u);
}

TEST_F(RelayTest, TargetAndFieldsCannotInject) {
  adjust = [](RelayTarget& target) {
    target.target = "/a b\r\nX-Evil: 1";
    target.request_headers = {{"x-a", "1\r\nx-evil: 2"}};
    target.response_headers = {{"x-b", "1\r\nx-evil: 3"}};
  };
  serve_relay(model.address());
  RawSocket socket = client_sending(kGet);
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  EXPECT_TRUE(upstream.received.starts_with("GET /a%20b%0D%0AX-Evil:%201 HTTP/1.1\r\n"));
  EXPECT_EQ(count_of(upstream.received, "\r\nx-evil"), 0u);
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
  ASSERT_TRUE(until([&] { return socket.has("\r\n\r\na"); }));
  EXPECT_EQ(count_of(socket.received, "\r\nx-evil"), 0u);
}

TEST_F(RelayTest, TrailersOfTheServerAreNotRelayed) {
  serve_relay(model.address());
  RawSocket socket = client_sending(kGet);
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  upstream.send(kSseHead + chunk("a") + "0\r\nX-Evil: 1\r\n\r\n");
  ASSERT_TRUE(ended());
  ASSERT_TRUE(until([&] { return socket.has("0\r\n\r\n"); }));
  EXPECT_EQ(count_of(socket.received, "X-Evil"), 0u);
}

TEST_F(RelayTest, SlowReaderHoldsBackTheServer) {
  serve_relay(model.address());
  // Small beside what is sent, but not so small that the kernel drops segments that do not fit into
  // it: their retransmission backs off for seconds.
  RawSocket socket = client(64 * 1024);
  socket.send(kGet);
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  const std::size_t total = 24u << 20;
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(total) + "\r\n\r\n");
  const std::string block(256 * 1024, 'b');
  std::size_t sent = 0;
  int quiet = 0;
  // Until the server's socket takes no more: everything between it and the client is full.
  ASSERT_TRUE(until([&] {
    const std::size_t now = block.size() - upstream.send(block).size();
    sent += now;
    quiet = now == 0 ? quiet + 1 : 0;
    settle();
    return quiet > 50;
  }));
  EXPECT_LT(sent, 16u << 20) << "the relay read on while its client did not";
  EXPECT_EQ(results.size(), 0u);
  std::size_t got = 0;
  ASSERT_TRUE(until([&] {
    if (sent < total) {
      const std::size_t room = std::min(block.size(), total - sent);
      sent += room - upstream.send(std::string_view(block).substr(0, room)).size();
    }
    socket.pump();
    got += socket.received.size();
    socket.received.clear();
    return !results.empty() && got > total;
  }));
  EXPECT_EQ(results[0].end, RelayResult::End::complete);
  EXPECT_EQ(results[0].body_bytes, total);
}

TEST_F(RelayTest, LargeBodySpillsToAFileAndIsSentTwiceFromThere) {
  limits.bodies_memory_max = 64_KiB;
  limits.body_bytes_max = 8_MiB;
  std::string body;
  for (int i = 0; body.size() < (3u << 20); ++i)
    body += std::to_string(i) + ",";
  on_result = [&](RelayResult& result) {
    if (!result.may_answer_again())
      return;
    held[0]->relay(make_target(model.address(), *held[0]),
                   [this](RelayResult again) { keep(std::move(again)); });
  };
  serve_relay(model.address());
  RawSocket socket = client();
  const std::string request = post_text(body);
  std::string_view rest = request;
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(until([&] {
      rest = socket.send(rest);
      if (!upstream.is_open())
        model.accept(upstream);
      upstream.pump();
      return upstream.received.ends_with(body.substr(body.size() - 100)) &&
             upstream.received.size() > body.size();
    }));
    EXPECT_TRUE(held[0]->body()->in_file());
    EXPECT_EQ(server->stats().bodies_memory_bytes, 0);
    EXPECT_EQ(upstream.received.substr(upstream.received.find("\r\n\r\n") + 4), body);
    if (round == 0)
      upstream = RawSocket();  // killed
  }
  EXPECT_EQ(results.at(0).end, RelayResult::End::lost_before_body);
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  ASSERT_TRUE(until([&] { return socket.has("\r\n\r\nok"); }));
  for (const auto& file : std::filesystem::directory_iterator(limits.spill_folder)) {
    EXPECT_EQ(file.path().filename(), "m.sock") << "a spilled body has a name";
  }
}

TEST_F(RelayTest, ReusesConnectionsAndDropsThemOnRequest) {
  serve_relay(model.address());
  RawSocket socket = client();
  for (std::size_t i = 1; i <= 3; ++i) {
    socket.send(kGet);
    ASSERT_TRUE(upstream_has("\r\n\r\n"));
    upstream.received.clear();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
    ASSERT_TRUE(until([&] { return results.size() == i; }));
  }
  EXPECT_EQ(server->stats().upstream_connects, 1u);
  EXPECT_TRUE(results[2].reused_connection);
  EXPECT_EQ(server->stats().upstream_idle, 1u);
  server->drop_upstream(model.address());
  EXPECT_EQ(server->stats().upstream_idle, 0u);
  ASSERT_TRUE(until([&] { return upstream.is_ended(); }));
}

TEST_F(RelayTest, ConnectionIsNotReusedWhenTheServerSaysClose) {
  serve_relay(model.address());
  RawSocket socket = client_sending(kGet);
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  upstream.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na");
  ASSERT_TRUE(ended());
  EXPECT_EQ(server->stats().upstream_idle, 0u);
  EXPECT_EQ(count_of(socket.received, "close"), 0u);
}

TEST_F(RelayTest, BodyOfAQueuedStreamFollowsTheComments) {
  serve_held();
  RawSocket socket = client_sending(post_text("{}"));
  ASSERT_TRUE(until([&] { return held.size() == 1; }));
  held[0]->begin_stream(200, "text/event-stream");
  held[0]->send(": place 1\n\n");
  RelayTarget target = make_target(model.address(), *held[0]);
  target.stream_already_begun = true;
  held[0]->relay(std::move(target), [this](RelayResult r) { keep(std::move(r)); });
  ASSERT_TRUE(upstream_has("{}"));
  upstream.send(kSseHead + chunk("data: x\n\n") + "0\r\n\r\n");
  ASSERT_TRUE(until([&] { return socket.has("0\r\n\r\n"); }));
  EXPECT_EQ(count_of(socket.received, "HTTP/1.1"), 1u);
  EXPECT_TRUE(socket.received.ends_with("b\r\n: place 1\n\n\r\n9\r\ndata: x\n\n\r\n0\r\n\r\n"))
      << socket.received;
}

TEST_F(RelayTest, ErrorAfterABegunStreamTravelsInBand) {
  serve_held();
  RawSocket socket = client_sending(post_text("{}"));
  ASSERT_TRUE(until([&] { return held.size() == 1; }));
  held[0]->begin_stream(200, "text/event-stream");
  RelayTarget target = make_target(model.address(), *held[0]);
  target.stream_already_begun = true;
  held[0]->relay(std::move(target), [this](RelayResult r) { keep(std::move(r)); });
  ASSERT_TRUE(upstream_has("{}"));
  upstream.send("HTTP/1.1 400 Bad\r\nContent-Length: 11\r\n\r\n{\"error\":\n1");
  ASSERT_TRUE(ended());
  ASSERT_TRUE(until([&] { return socket.has("data: {\"error\":\ndata: 1\n\n"); }));
  EXPECT_TRUE(socket.received.ends_with("\r\n0\r\n\r\n"));
  EXPECT_EQ(results[0].status, 400);
}

TEST_F(RelayTest, AHeldErrorIsKeptFromTheClientAndTheCallerMayRelayAgain) {
  adjust = [](RelayTarget& target) { target.hold_from_status = 500; };
  on_result = [&](RelayResult& result) {
    if (!result.may_answer_again())
      return;
    held[0]->relay(make_target(model.address(), *held[0]),
                   [this](RelayResult again) { keep(std::move(again)); });
  };
  serve_relay(model.address());
  RawSocket socket = client_sending(post_text("{}"));
  ASSERT_TRUE(upstream_has("{}"));
  upstream.received.clear();
  upstream.send("HTTP/1.1 500 No\r\nX-Why: y\r\nContent-Length: 3\r\n\r\no");
  upstream.send("om");
  ASSERT_TRUE(upstream_has("{}"));
  EXPECT_EQ(results.at(0).end, RelayResult::End::held);
  EXPECT_EQ(results.at(0).status, 500);
  EXPECT_EQ(results.at(0).held.body, "oom");
  EXPECT_FALSE(results.at(0).held.cut);
  EXPECT_EQ(results.at(0).held.headers, (std::vector<Header>{{"X-Why", "y"}}));
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  ASSERT_TRUE(until([&] { return socket.has("\r\n\r\nok"); }));
  EXPECT_EQ(count_of(socket.received, "HTTP/1.1"), 1u);
  EXPECT_EQ(server->stats().upstream_connects, 1u);
}

TEST_F(RelayTest, AnErrorThatIsNotHeldGoesOnAsItCame) {
  adjust = [](RelayTarget& target) {
    target.response_headers = {{"x-tonnage-model", "m"}};
    target.hold_from_status = 504;
  };
  serve_relay(model.address());
  RawSocket socket = client_sending(post_text("{}"));
  ASSERT_TRUE(upstream_has("{}"));
  upstream.send(
      "HTTP/1.1 503 Busy\r\nContent-Type: text/plain\r\nRetry-After: 7\r\n"
      "Transfer-Encoding: chunked\r\n\r\n" +
      chunk("busy: ") + "0\r\n\r\n");
  ASSERT_TRUE(ended());
  EXPECT_EQ(results[0].end, RelayResult::End::complete);
  EXPECT_EQ(results[0].status, 503);
  ASSERT_TRUE(until([&] { return socket.has("0\r\n\r\n"); }));
  EXPECT_TRUE(socket.has("Retry-After: 7\r\n"));
  EXPECT_TRUE(socket.has("x-tonnage-model: m\r\n"));
}

TEST_F(RelayTest, AnErrorLongerThanTheBoundIsCutOrGoesOn) {
  limits.held_answer_max = 1_KiB;
  serve_relay(model.address());
  for (const std::size_t length : {1024u, 1025u}) {
    for (const bool cut : {false, true}) {
      adjust = [&](RelayTarget& target) {
        target.hold_from_status = 400;
        target.cut_held = cut;
      };
      results.clear();
      held.clear();
      upstream.received.clear();
      upstream.close();
      on_result = [&](RelayResult& result) {
        if (result.may_answer_again())
          held[0]->respond({.status = 500, .body = result.held.body});
      };
      RawSocket socket = client_sending(post_text("{}"));
      ASSERT_TRUE(upstream_has("{}"));
      upstream.send("HTTP/1.1 500 No\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n" +
                    std::string(length, 'a'));
      const bool whole = length == 1024u || !cut;
      const std::size_t shown = whole ? length : 1024;
      ASSERT_TRUE(until([&] { return socket.has("\r\n\r\n" + std::string(shown, 'a')); }));
      ASSERT_TRUE(ended());
      const bool is_held = length == 1024u || cut;
      EXPECT_EQ(results[0].end, is_held ? RelayResult::End::held : RelayResult::End::complete);
      EXPECT_EQ(results[0].held.cut, !whole);
      EXPECT_EQ(count_of(socket.received, "a") >= shown, true);
    }
  }
}

TEST_F(RelayTest, NoOtherAnswerIsHeld) {
  adjust = [](RelayTarget& target) { target.hold_from_status = 500; };
  serve_relay(model.address());
  for (const char* head : {"HTTP/1.1 200 OK", "HTTP/1.1 404 No", "HTTP/1.1 499 No"}) {
    results.clear();
    upstream.received.clear();
    RawSocket socket = client_sending(post_text("{}"));
    ASSERT_TRUE(upstream_has("{}"));
    // Its first half is sent on before the second is there.
    upstream.send(std::string(head) + "\r\nContent-Length: 4\r\n\r\nha");
    ASSERT_TRUE(until([&] { return socket.has("ha"); }));
    upstream.send("lf");
    ASSERT_TRUE(until([&] { return socket.has("half"); }));
  }
}

TEST_F(RelayTest, AnErrorThatIsNotHeldIsAnEventOfAStreamThatBegan) {
  serve_held();
  RawSocket socket = client_sending(post_text("{}"));
  ASSERT_TRUE(until([&] { return held.size() == 1; }));
  held[0]->begin_stream(200, "text/event-stream");
  held[0]->send(": waiting\n\n");
  RelayTarget target = make_target(model.address(), *held[0]);
  target.stream_already_begun = true;
  held[0]->relay(std::move(target), [this](RelayResult r) { keep(std::move(r)); });
  ASSERT_TRUE(upstream_has("{}"));
  upstream.send("HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nbusy");
  ASSERT_TRUE(ended());
  ASSERT_TRUE(until([&] { return socket.has("data: busy\n\n"); }));
  EXPECT_TRUE(socket.received.ends_with("\r\n0\r\n\r\n"));
  EXPECT_EQ(results[0].end, RelayResult::End::complete);
}

}  // namespace
}  // namespace tonnage::net
