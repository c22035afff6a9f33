// What becomes of a request when its model server, or its client, goes away or falls silent.
#include <boost/asio/post.hpp>

#include "net/net_fixture.h"
#include "net/relay.h"

namespace tonnage::net {
namespace {

using End = RelayResult::End;

class RelayFailureTest : public NetTest {
 protected:
  RelayFailureTest() : model(path("m.sock")) {}

  ::testing::AssertionResult upstream_has(std::string_view text) {
    return until([&] {
      if (!upstream.is_open())
        model.accept(upstream);
      return upstream.has(text);
    });
  }
  ::testing::AssertionResult ended(std::size_t count = 1) {
    return until([&] { return results.size() == count; });
  }
  // The daemon's replay: whatever may be answered again goes to another server.
  void replay_to(const Address& other) {
    on_result = [this, other](RelayResult& result) {
      if (!result.may_answer_again())
        return;
      held.back()->relay(make_target(other, *held.back()),
                         [this](RelayResult again) { keep(std::move(again)); });
    };
  }
  // One request was answered, so that its connection waits in the pool.
  void fill_pool(RawSocket& socket) {
    socket.send(kGet);
    ASSERT_TRUE(upstream_has("\r\n\r\n"));
    upstream.received.clear();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
    ASSERT_TRUE(ended());
    ASSERT_TRUE(until([&] { return socket.has("first"); }));
    results.clear();
  }

  RawServer model;
  RawSocket upstream;
};

TEST_F(RelayFailureTest, ServerLostBeforeTheFirstBodyByteLeavesTheRequestReplayable) {
  RawServer second(path("second.sock"));
  RawSocket other;
  replay_to(second.address());
  serve_relay(model.address());
  RawSocket socket = client_sending(post_text("{\"q\":1}"));
  ASSERT_TRUE(upstream_has("{\"q\":1}"));
  upstream.send(kSseHead);  // its head alone is nothing that the client has seen
  settle();
  upstream.close();
  ASSERT_TRUE(until([&] {
    if (!other.is_open())
      second.accept(other);
    return other.has("{\"q\":1}");
  }));
  other.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  ASSERT_TRUE(until([&] { return socket.has("\r\n\r\nok"); }));
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].end, End::lost_before_body);
  EXPECT_EQ(results[1].end, End::complete);
  EXPECT_EQ(count_of(socket.received, "HTTP/1.1"), 1u);
}

TEST_F(RelayFailureTest, ReplayAfterACommittedStreamContinuesIt) {
  serve_held();
  RawSocket socket = client_sending(post_text("{}"));
  ASSERT_TRUE(until([&] { return held.size() == 1; }));
  held[0]->begin_stream(200, "text/event-stream");
  adjust = [](RelayTarget& target) { target.stream_already_begun = true; };
  replay_to(model.address());
  held[0]->relay(make_target(model.address(), *held[0]),
                 [this](RelayResult r) { keep(std::move(r)); });
  ASSERT_TRUE(upstream_has("{}"));
  upstream = RawSocket();
  ASSERT_TRUE(upstream_has("{}"));
  upstream.send(kSseHead + "3\r\nabc\r\n0\r\n\r\n");
  ASSERT_TRUE(ended(2));
  EXPECT_EQ(results[0].end, End::lost_before_body);
  ASSERT_TRUE(until([&] { return socket.has("abc\r\n0\r\n\r\n"); }));
}

TEST_F(RelayFailureTest, ConnectFailureIsToldAndNothingIsSent) {
  serve_relay(unix_address(path("nobody.sock")));
  RawSocket socket = client_sending(kGet);
  ASSERT_TRUE(ended());
  EXPECT_EQ(results[0].end, End::connect_failed);
  EXPECT_NE(results[0].why, "");
  EXPECT_EQ(socket.received, "");
  held[0]->respond({.status = 502});
  ASSERT_TRUE(until([&] { return socket.has("HTTP/1.1 502"); }));
}

TEST_F(RelayFailureTest, RefusedTcpConnectionIsAConnectFailure) {
  int free_port = 0;
  {
    Server other(io, limits, [](std::shared_ptr<Exchange>) {});
    free_port = *other.listen_tcp("127.0.0.1", 0);
  }
  serve_relay(tcp_address("127.0.0.1", static_cast<std::uint16_t>(free_port)));
  RawSocket socket = client_sending(kGet);
  ASSERT_TRUE(ended());
  EXPECT_EQ(results[0].end, End::connect_failed);
}

TEST_F(RelayFailureTest, ARelayThatIsCutBeforeItsBodyMayBeAnsweredAnew) {
  serve_relay(model.address());
  RawSocket socket = client_sending(kGet);
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  held[0]->cut_relay("the server stops");
  EXPECT_TRUE(results.empty()) << "not before the call returned";
  ASSERT_TRUE(ended());
  EXPECT_EQ(results[0].end, End::lost_before_body);
  EXPECT_EQ(results[0].why, "the server stops");
  EXPECT_TRUE(until([&] { return upstream.is_ended(); }));
  held[0]->respond({.status = 503});
  ASSERT_TRUE(until([&] { return socket.has("HTTP/1.1 503"); }));
}

TEST_F(RelayFailureTest, ARelayThatIsCutWhileItsClientIsSlowEndsForTheClientToo) {
  on_result = [&](RelayResult&) { held[0]->finish_broken("data: gone\n\n"); };
  serve_relay(model.address());
  RawSocket socket = client(4096);
  socket.send(kGet);
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  const std::string piece = "data: " + std::string(65528, 'x') + "\n\n";
  std::string text = kSseHead;
  for (int i = 0; i < 400; ++i)
    text += "10000\r\n" + piece + "\r\n";
  std::string_view rest = text;
  // Until nobody takes any more: the client reads nothing.
  for (std::size_t left = 0; left != rest.size();) {
    left = rest.size();
    rest = upstream.send(rest);
    settle();
  }
  ASSERT_FALSE(rest.empty());
  held[0]->cut_relay("the server stops");
  ASSERT_TRUE(ended());
  EXPECT_EQ(results[0].end, End::broken_midstream);
  ASSERT_TRUE(until([&] { return socket.has("data: gone\n\n\r\n0\r\n\r\n"); }));
}

TEST_F(RelayFailureTest, BrokenEventStreamEndsWithAnEventInGoodForm) {
  on_result = [&](RelayResult& result) {
    if (result.end == End::broken_midstream) {
      EXPECT_TRUE(held[0]->finish_broken("data: {\"error\":1}\n\n"));
    }
  };
  serve_relay(model.address());
  RawSocket socket = client_sending(kGet);
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  upstream.send(kSseHead + "9\r\ndata: a\n\n\r\n");
  ASSERT_TRUE(until([&] { return socket.has("data: a\n\n"); }));
  upstream.close();
  ASSERT_TRUE(ended());
  EXPECT_EQ(results[0].end, End::broken_midstream);
  ASSERT_TRUE(until([&] { return socket.has("0\r\n\r\n"); }));
  EXPECT_TRUE(
      socket.received.ends_with("9\r\ndata: a\n\n\r\n13\r\ndata: {\"error\":1}\n\n\r\n0\r\n\r\n"))
      << socket.received;
  socket.send(kGet);  // the connection is in good order
  ASSERT_TRUE(until([&] { return held.size() == 2; }));
}

TEST_F(RelayFailureTest, EventThatWasCutShortIsClosedBeforeTheLastOne) {
  on_result = [&](RelayResult&) { held[0]->finish_broken("data: e\n\n"); };
  serve_relay(model.address());
  RawSocket socket = client_sending(kGet);
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  upstream.send(kSseHead + "5\r\ndata:\r\n");
  ASSERT_TRUE(until([&] { return socket.has("data:\r\n"); }));
  upstream.close();
  ASSERT_TRUE(until([&] { return socket.has("0\r\n\r\n"); }));
  EXPECT_TRUE(socket.received.ends_with("2\r\n\n\n\r\n9\r\ndata: e\n\n\r\n0\r\n\r\n"));
}

TEST_F(RelayFailureTest, BrokenAnswerOfKnownLengthIsCut) {
  on_result = [&](RelayResult&) { EXPECT_FALSE(held[0]->finish_broken("data: e\n\n")); };
  serve_relay(model.address());
  RawSocket socket = client_sending(kGet);
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  ASSERT_TRUE(until([&] { return socket.has("half"); }));
  upstream.close();
  ASSERT_TRUE(until([&] { return socket.is_ended(); }));
  EXPECT_EQ(results.at(0).end, End::broken_midstream);
  EXPECT_EQ(results.at(0).body_bytes, 4u);
}

TEST_F(RelayFailureTest, BrokenAnswerUntilCloseIsResetSoThatItIsNotTakenForWhole) {
  serve_relay(model.address());
  RawSocket socket = client_sending("GET /a HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
  ASSERT_TRUE(until([&] { return socket.has("half"); }));
  upstream.close();
  ASSERT_TRUE(until([&] { return socket.is_ended(); }));
  EXPECT_TRUE(socket.was_reset);
}

TEST_F(RelayFailureTest, NonsenseFromTheServerIsItsLoss) {
  serve_relay(model.address());
  for (const char* nonsense :
       {"SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"}) {
    results.clear();
    RawSocket socket = client_sending(kGet);
    upstream = RawSocket();
    ASSERT_TRUE(upstream_has("\r\n\r\n"));
    upstream.send(nonsense);
    ASSERT_TRUE(ended()) << nonsense;
    EXPECT_EQ(results[0].end, End::lost_before_body) << nonsense;
    EXPECT_EQ(socket.received, "") << nonsense;
    held.back()->respond({.status = 502});
  }
}

TEST_F(RelayFailureTest, EndlessHeadOrChunkHeaderOfTheServerIsBounded) {
  serve_relay(model.address());
  for (const char* start :
       {"HTTP/1.1 200 OK\r\nX: ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x="}) {
    results.clear();
    RawSocket socket = client_sending(kGet);
    upstream = RawSocket();
    ASSERT_TRUE(upstream_has("\r\n\r\n"));
    upstream.send(start);
    const std::string junk(16 * 1024, 'j');
    ASSERT_TRUE(until([&] {
      upstream.send(junk);
      return !results.empty();
    })) << start;
    EXPECT_EQ(results[0].end, End::lost_before_body);
    held.back()->respond({.status = 502});
  }
}

TEST_F(RelayFailureTest, StalePooledConnectionIsReplacedSilently) {
  serve_relay(model.address());
  RawSocket socket = client();
  fill_pool(socket);
  // The server closes at the very moment when the next request comes: the loop sees both at once.
  socket.send(kGet);
  upstream = RawSocket();
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond");
  ASSERT_TRUE(until([&] { return socket.has("second"); }));
  ASSERT_TRUE(ended());
  EXPECT_EQ(results[0].end, End::complete);
}

TEST_F(RelayFailureTest, ConnectionThatClosesWhileIdleLeavesThePool) {
  serve_relay(model.address());
  RawSocket socket = client();
  fill_pool(socket);
  EXPECT_EQ(server->stats().upstream_idle, 1u);
  upstream.close();
  ASSERT_TRUE(until([&] { return server->stats().upstream_idle == 0; }));
}

TEST_F(RelayFailureTest, ServerThatDiesWithARequestFromThePoolIsLostAndNotUnreachable) {
  serve_relay(model.address());
  RawSocket socket = client();
  fill_pool(socket);
  socket.send(post_text("{}"));
  ASSERT_TRUE(upstream_has("{}"));
  model.close();
  upstream.close();
  ASSERT_TRUE(ended());
  EXPECT_EQ(results[0].end, End::lost_before_body);
}

TEST_F(RelayFailureTest, ClientThatLeavesWhileItsAnswerIsAwaitedEndsTheServersWork) {
  serve_relay(model.address());
  RawSocket socket = client_sending(post_text("{}"));
  ASSERT_TRUE(upstream_has("{}"));
  socket.close();
  ASSERT_TRUE(until([&] { return upstream.is_ended(); }));
  ASSERT_TRUE(ended());
  EXPECT_EQ(results[0].end, End::client_gone);
  EXPECT_EQ(server->stats().upstream_idle, 0u);
}

TEST_F(RelayFailureTest, ClientThatLeavesMidstreamEndsTheServersWork) {
  serve_relay(model.address());
  RawSocket socket = client_sending(kGet);
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  socket.send(kGet);  // a pipelined request does not hide the leaving
  settle();
  upstream.send(kSseHead + "9\r\ndata: a\n\n\r\n");
  ASSERT_TRUE(until([&] { return socket.has("data: a"); }));
  socket.close();
  ASSERT_TRUE(until([&] { return upstream.is_ended(); }));
  ASSERT_TRUE(ended());
  EXPECT_EQ(results[0].end, End::client_gone);
}

TEST_F(RelayFailureTest, StalledClientIsCutAndTheServerFreed) {
  limits.write_stall_timeout = 30ms;
  serve_relay(model.address());
  RawSocket socket = client(4096);
  socket.send(kGet);
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
  const std::string block(256 * 1024, 'b');
  ASSERT_TRUE(until([&] {
    upstream.send(block);
    return !results.empty();
  }));
  EXPECT_EQ(results[0].end, End::client_gone);
  ASSERT_TRUE(until([&] { return upstream.is_ended(); }));
}

TEST_F(RelayFailureTest, TimeoutsEndARelayBeforeAndAfterTheFirstByte) {
  adjust = [](RelayTarget& target) {
    target.first_byte_timeout = 30ms;
    target.idle_timeout = 30ms;
  };
  serve_relay(model.address());
  RawSocket silent = client_sending(kGet);
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  upstream.send(kSseHead);  // a head is no beginning
  ASSERT_TRUE(ended());
  EXPECT_EQ(results[0].end, End::timed_out_before_body);
  ASSERT_TRUE(until([&] { return upstream.is_ended(); }));
  held[0]->respond({.status = 504});
  upstream = RawSocket();

  on_result = [&](RelayResult&) { held.back()->finish_broken("data: late\n\n"); };
  RawSocket pausing = client_sending(kGet);
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  upstream.send(kSseHead + "9\r\ndata: a\n\n\r\n");
  ASSERT_TRUE(ended(2));
  EXPECT_EQ(results[1].end, End::timed_out_midstream);
  ASSERT_TRUE(until([&] { return pausing.has("data: late\n\n\r\n0\r\n\r\n"); }));
}

TEST_F(RelayFailureTest, TotalTimeoutEndsAnAnswerThatNeverPauses) {
  adjust = [](RelayTarget& target) { target.total_timeout = 60ms; };
  serve_relay(model.address());
  RawSocket socket = client_sending(kGet);
  ASSERT_TRUE(upstream_has("\r\n\r\n"));
  upstream.send(kSseHead);
  ASSERT_TRUE(until([&] {
    upstream.send("1\r\na\r\n");
    socket.pump();
    return !results.empty();
  }));
  EXPECT_EQ(results[0].end, End::timed_out_midstream);
}

TEST_F(RelayFailureTest, RelayForAClientThatIsGoneEndsFromTheLoop) {
  serve_held();
  RawSocket socket = client_sending(kGet);
  ASSERT_TRUE(until([&] { return held.size() == 1; }));
  socket.close();
  ASSERT_TRUE(until([&] { return held[0]->client_is_gone(); }));
  held[0]->relay(make_target(model.address(), *held[0]),
                 [this](RelayResult r) { keep(std::move(r)); });
  EXPECT_TRUE(results.empty());
  ASSERT_TRUE(ended());
  EXPECT_EQ(results[0].end, End::client_gone);
}

TEST_F(RelayFailureTest, EarlyAnswerToAHalfSentRequestIsRelayed) {
  serve_relay(model.address());
  RawSocket socket = client();
  const std::string request = post_text(std::string(8u << 20, 'q'));
  std::string_view rest = request;
  ASSERT_TRUE(until([&] {
    rest = socket.send(rest);
    return model.accept(upstream);
  }));
  upstream.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
  ASSERT_TRUE(until([&] { return socket.has("\r\n\r\nbig"); }));
  ASSERT_TRUE(ended());
  EXPECT_EQ(results[0].end, End::complete);
  EXPECT_EQ(server->stats().upstream_idle, 0u);
}

TEST_F(RelayFailureTest, ServerObjectMayGoWhileRelaysRun) {
  serve_relay(model.address());
  RawSocket socket = client_sending(post_text("{}"));
  ASSERT_TRUE(upstream_has("{}"));
  server.reset();
  EXPECT_TRUE(held[0]->client_is_gone());
  ASSERT_TRUE(until([&] { return upstream.is_ended() && socket.is_ended(); }));
  ASSERT_TRUE(ended());
  EXPECT_EQ(results[0].end, End::client_gone);
}

}  // namespace
}  // namespace tonnage::net
