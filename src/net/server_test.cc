// How requests are read: framing, bounds, time-outs, pipelining, and how the server ends.
#include "net/server.h"

#include <sys/stat.h>

#include <fstream>

#include "net/net_fixture.h"

namespace tonnage::net {
namespace {

class ServerTest : public NetTest {
 protected:
  void serve_echo() {
    serve([this](std::shared_ptr<Exchange> exchange) {
      seen.push_back(std::string(exchange->method()) + " " + std::string(exchange->path()) + "|" +
                     std::string(exchange->body()->view()));
      exchange->respond({.status = 200, .content_type = "text/plain", .body = seen.back()});
    });
  }
  void expect_status(std::string_view request, std::string_view status) {
    RawSocket socket = client();
    socket.send(request);
    EXPECT_TRUE(until([&] { return socket.has("\r\n\r\n"); })) << request.substr(0, 200);
    EXPECT_EQ(socket.received.substr(0, 12), "HTTP/1.1 " + std::string(status))
        << request.substr(0, 200);
  }

  std::vector<std::string> seen;
};

TEST_F(ServerTest, AnswersPipelinedRequestsInOrderOnOneConnection) {
  serve_echo();
  RawSocket socket = client();
  socket.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n" + post_text("two") +
              "GET /3 HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(until([&] { return socket.has("GET /3|"); }));
  EXPECT_EQ(seen,
            (std::vector<std::string>{"GET /1|", "POST /v1/chat/completions|two", "GET /3|"}));
  EXPECT_EQ(server->stats().connections_accepted, 1u);
}

TEST_F(ServerTest, PipelinedRequestWaitsUntilTheOneBeforeIsAnswered) {
  serve_held();
  RawSocket socket = client_sending(kGet + post_text("later"));
  ASSERT_TRUE(until([&] { return held.size() == 1; }));
  settle();
  EXPECT_EQ(held.size(), 1u);
  held[0]->respond({.body = "first"});
  ASSERT_TRUE(until([&] { return held.size() == 2; }));
  EXPECT_EQ(held[1]->body()->view(), "later");
}

TEST_F(ServerTest, AThousandPipelinedRequestsDoNotDeepenTheStack) {
  serve_echo();
  std::string many;
  for (int i = 0; i < 1000; ++i)
    many += "GET /n HTTP/1.1\r\nHost: x\r\n\r\n";
  RawSocket socket = client();
  std::string_view rest = socket.send(many);
  ASSERT_TRUE(until([&] {
    rest = socket.send(rest);
    socket.pump();
    return seen.size() == 1000;
  }));
}

TEST_F(ServerTest, ReadsAChunkedBodyThatArrivesByteByByte) {
  serve_echo();
  RawSocket socket = client();
  const std::string text =
      "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3;name=value\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Trailer: y\r\n\r\n";
  for (const char c : text) {
    socket.send(std::string_view(&c, 1));
    settle();
  }
  ASSERT_TRUE(until([&] { return seen.size() == 1; }));
  EXPECT_EQ(seen[0], "POST /c|abc0123456789");
}

TEST_F(ServerTest, KeepsBadUtf8AsItIs) {
  serve_echo();
  RawSocket socket = client_sending(post_text("\xff\xfe\x80", "X-A: \xc3\x28\r\n"));
  ASSERT_TRUE(until([&] { return seen.size() == 1; }));
  EXPECT_EQ(seen[0], "POST /v1/chat/completions|\xff\xfe\x80");
}

TEST_F(ServerTest, RefusesWhatCouldBeReadInTwoWays) {
  serve_echo();
  const std::string post = "POST /a HTTP/1.1\r\nHost: x\r\n";
  expect_status(post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "400");
  expect_status(post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", "400");
  expect_status(post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "400");
  expect_status(post + "Content-Length: 3, 4\r\n\r\nabcd", "400");
  expect_status(post + "Content-Length: -1\r\n\r\n", "400");
  expect_status(post + "Content-Length: 0x10\r\n\r\n", "400");
  expect_status(post + "Content-Length: 99999999999999999999999\r\n\r\n", "400");
  expect_status(post + "Transfer-Encoding: gzip, chunked\r\n\r\n", "501");
  expect_status(post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "400");
  expect_status(post + "Transfer-Encoding: chunked\r\n\r\nZZ\r\n", "400");
  expect_status("POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400");
  expect_status("GET /a HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", "400");
  expect_status("GET /a HTTP/1.1\r\nHost: x\r\nX : a\r\n\r\n", "400");
  expect_status("GET /a HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n", "400");
  expect_status("GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400");
  expect_status("GET /a HTTP/1.1\r\n\r\n", "400");
  expect_status("GET a HTTP/1.1\r\nHost: x\r\n\r\n", "400");
  expect_status("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", "400");
  expect_status("GET /a HTTP/2.0\r\nHost: x\r\n\r\n", "400");
  expect_status("\x16\x03\x01", "400");
  EXPECT_TRUE(seen.empty());
}

TEST_F(ServerTest, ReadsAnAbsoluteTarget) {
  std::string path_and_host;
  serve([&](std::shared_ptr<Exchange> x) {
    path_and_host =
        std::string(x->path()) + "|" + std::string(x->query()) + "|" + std::string(x->host());
    x->respond({});
  });
  RawSocket socket = client_sending("GET http://h:1/p?q=%20 HTTP/1.1\r\nHost: other\r\n\r\n");
  ASSERT_TRUE(until([&] { return socket.has("200 OK"); }));
  EXPECT_EQ(path_and_host, "/p|q=%20|h:1");
}

TEST_F(ServerTest, RefusesALongHeadWith431BeforeItIsWhole) {
  serve_echo();
  RawSocket socket = client_sending("GET /a HTTP/1.1\r\nHost: x\r\nX-Long: ");
  const std::string long_value(std::size_t{1} << 20, 'a');
  std::string_view rest = long_value;
  ASSERT_TRUE(until([&] {
    rest = socket.send(rest);
    return socket.has("\r\n\r\n");
  }));
  EXPECT_TRUE(socket.received.starts_with("HTTP/1.1 431 ")) << socket.received;
  // A reset might overtake the answer: what else the client sends is read and dropped.
  ASSERT_TRUE(until([&] {
    rest = socket.send(rest);
    return socket.is_ended();
  }));
  EXPECT_FALSE(socket.was_reset);
  std::string many = "GET /a HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 300; ++i)
    many += "a: b\r\n";
  expect_status(many + "\r\n", "431");
}

TEST_F(ServerTest, RefusesALargeBodyFromItsLengthWithoutReadingIt) {
  limits.body_bytes_max = 1_MiB;
  serve_echo();
  expect_status("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n", "413");
  EXPECT_LT(server->stats().bytes_received, 1000u);
}

TEST_F(ServerTest, RefusesAChunkedBodyWhenItCrossesTheBound) {
  limits.body_bytes_max = 64_KiB;
  serve_echo();
  RawSocket socket =
      client_sending("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "4000\r\n" + std::string(0x4000, 'a') + "\r\n";
  for (int i = 0; i < 8; ++i) {
    socket.send(chunk);
    settle();
  }
  ASSERT_TRUE(until([&] { return socket.has("\r\n\r\n"); }));
  EXPECT_TRUE(socket.received.starts_with("HTTP/1.1 413 ")) << socket.received;
  EXPECT_EQ(server->stats().bodies_memory_bytes, 0);
}

TEST_F(ServerTest, HalfARequestAndSilenceIsAnswered408) {
  limits.header_timeout = 20ms;
  limits.body_idle_timeout = 20ms;
  serve_echo();
  RawSocket head = client_sending("GET /a HT");
  ASSERT_TRUE(until([&] { return head.is_ended(); }));
  EXPECT_TRUE(head.received.starts_with("HTTP/1.1 408 ")) << head.received;
  RawSocket body = client_sending("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
  ASSERT_TRUE(until([&] { return body.is_ended(); }));
  EXPECT_TRUE(body.received.starts_with("HTTP/1.1 408 ")) << body.received;
}

// A shell's echo ends its lines so, and would wait for an answer until the time-out.
TEST_F(ServerTest, LinesThatEndInLfAloneAreRefusedAtOnce) {
  serve_echo();
  expect_status("GET /a HTTP/1.1\nHost: x\n\n", "400");
  expect_status("GET /a HTTP/1.1\n", "400");
  EXPECT_TRUE(seen.empty());
}

TEST_F(ServerTest, SlowHeadBytesDoNotExtendTheHeaderTimeout) {
  limits.header_timeout = 50ms;
  serve_echo();
  RawSocket socket = client_sending("GET /a HTTP/1.1\r\nX: ");
  ASSERT_TRUE(until([&] {
    socket.send("a");  // goes on for ever
    return socket.is_ended();
  }));
  EXPECT_TRUE(socket.received.starts_with("HTTP/1.1 408 ")) << socket.received;
}

TEST_F(ServerTest, IdleConnectionIsClosedSilently) {
  limits.keepalive_timeout = 20ms;
  serve_echo();
  RawSocket socket = client();
  ASSERT_TRUE(until([&] { return socket.is_ended(); }));
  EXPECT_EQ(socket.received, "");
  EXPECT_EQ(server->stats().connections_open, 0u);
}

TEST_F(ServerTest, SendsContinueOnlyWhenTheBodyIsStillToCome) {
  serve_echo();
  const std::string head =
      "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
  RawSocket waits = client_sending(head);
  ASSERT_TRUE(until([&] { return waits.has("100 Continue\r\n\r\n"); }));
  waits.send("abc");
  ASSERT_TRUE(until([&] { return waits.has("POST /a|abc"); }));
  RawSocket eager = client_sending(head + "abc");
  ASSERT_TRUE(until([&] { return eager.has("POST /a|abc"); }));
  EXPECT_EQ(count_of(eager.received, "100 Continue"), 0u);
}

TEST_F(ServerTest, SpeaksHttp10) {
  serve_echo();
  RawSocket closes = client_sending("GET /a HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(until([&] { return closes.is_ended(); }));
  EXPECT_TRUE(closes.received.ends_with("GET /a|"));
  RawSocket keeps = client_sending("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  ASSERT_TRUE(until([&] { return keeps.has("connection: keep-alive"); }));
  EXPECT_FALSE(keeps.is_ended());
}

TEST_F(ServerTest, AnswersHeadWithTheLengthAndNoBody) {
  serve_echo();
  RawSocket socket = client_sending("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n" + kGet);
  ASSERT_TRUE(until([&] { return socket.has("GET /a|"); }));
  EXPECT_NE(socket.received.find("content-length: 8\r\n"), std::string::npos);
  EXPECT_EQ(count_of(socket.received, "HEAD /a|"), 0u);
}

TEST_F(ServerTest, HeadCheckAnswersBeforeTheBodyIsRead) {
  serve_echo();
  server->set_head_check([](const Exchange& exchange) -> std::optional<Response> {
    if (exchange.header("AUTHORIZATION"))
      return std::nullopt;
    return Response{.status = 401, .body = "no key"};
  });
  RawSocket refused = client_sending("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
  ASSERT_TRUE(until([&] { return refused.is_ended(); }));
  EXPECT_TRUE(refused.received.starts_with("HTTP/1.1 401 "));
  RawSocket keeps = client_sending(kGet + post_text("abc", "Authorization: k\r\n"));
  ASSERT_TRUE(until([&] { return keeps.has("|abc"); }));
  EXPECT_EQ(seen.size(), 1u);
}

TEST_F(ServerTest, NoHandlerInputCanInjectAHeader) {
  serve([](std::shared_ptr<Exchange> x) {
    x->respond({.status = 200,
                .content_type = "a\r\nx-one: 1",
                .headers = {{"x-a", "v\r\nx-two: 2"},
                            {"x-b\r\nx-three", "3"},
                            {"content-length", "99"},
                            {"transfer-encoding", "chunked"}},
                .body = "ok"});
  });
  RawSocket socket = client_sending(kGet);
  ASSERT_TRUE(until([&] { return socket.has("\r\n\r\nok"); }));
  EXPECT_EQ(count_of(socket.received, "\r\nx-one"), 0u);
  EXPECT_EQ(count_of(socket.received, "\r\nx-two"), 0u);
  EXPECT_EQ(count_of(socket.received, "x-three"), 0u);
  EXPECT_EQ(count_of(socket.received, "content-length"), 1u);
  EXPECT_EQ(count_of(socket.received, "transfer-encoding"), 0u);
}

TEST_F(ServerTest, TellsTheHolderWhenTheClientLeavesWhileItWaits) {
  serve_held();
  RawSocket socket = client_sending(post_text("{}"));
  ASSERT_TRUE(until([&] { return held.size() == 1; }));
  int gone = 0;
  held[0]->on_client_gone([&] { ++gone; });
  socket.close();
  ASSERT_TRUE(until([&] { return gone == 1; }));
  EXPECT_TRUE(held[0]->client_is_gone());
  held[0]->respond({});  // nothing happens
  EXPECT_EQ(server->stats().connections_open, 0u);
  EXPECT_EQ(server->stats().requests_active, 0u);
}

TEST_F(ServerTest, LettingGoOfAnExchangeAnswers500) {
  serve([](std::shared_ptr<Exchange>) {});
  RawSocket socket = client_sending(kGet + kGet);
  ASSERT_TRUE(until([&] {
    socket.pump();
    return count_of(socket.received, "HTTP/1.1 500 ") == 2;
  }));
}

TEST_F(ServerTest, StreamsChunksAsTheyAreSentAndKeepsTheConnection) {
  serve_held();
  RawSocket socket = client_sending(kGet + kGet);
  ASSERT_TRUE(until([&] { return held.size() == 1; }));
  held[0]->begin_stream(200, "text/event-stream");
  held[0]->send(": place 2\n\n");
  ASSERT_TRUE(until([&] { return socket.has("b\r\n: place 2\n\n\r\n"); }));
  held[0]->send(": place 1\n\n");
  held[0]->end_stream();
  ASSERT_TRUE(until([&] { return socket.has(": place 1\n\n\r\n0\r\n\r\n"); }));
  ASSERT_TRUE(until([&] { return held.size() == 2; }));
}

TEST_F(ServerTest, DropsAStreamWhoseClientDoesNotRead) {
  limits.stream_pending_max = 64_KiB;
  serve_held();
  RawSocket socket = client(4096);
  socket.send(kGet);
  ASSERT_TRUE(until([&] { return held.size() == 1; }));
  bool gone = false;
  held[0]->on_client_gone([&] { gone = true; });
  held[0]->begin_stream(200, "text/event-stream");
  const std::string piece(16 * 1024, 'e');
  std::size_t pending_most = 0;
  ASSERT_TRUE(until([&] {
    held[0]->send(piece);
    pending_most = std::max(pending_most, held[0]->pending_bytes());
    return gone;
  }));
  EXPECT_LT(pending_most, 128u * 1024);
}

TEST_F(ServerTest, CutsAClientThatTakesNoByteOfItsAnswer) {
  limits.write_stall_timeout = 30ms;
  serve([](std::shared_ptr<Exchange> x) { x->respond({.body = std::string(64u << 20, 'a')}); });
  RawSocket socket = client(4096);
  socket.send(kGet);
  ASSERT_TRUE(until([&] { return server->stats().requests == 1; }));
  ASSERT_TRUE(until([&] { return server->stats().connections_open == 0; }));
}

TEST_F(ServerTest, RefusesConnectionsBeyondTheBound) {
  limits.connections_max = 2;
  serve_echo();
  RawSocket one = client(), two = client();
  ASSERT_TRUE(until([&] { return server->stats().connections_open == 2; }));
  RawSocket three = client();
  ASSERT_TRUE(until([&] { return three.is_ended(); }));
  EXPECT_TRUE(three.received.starts_with("HTTP/1.1 503 "));
  one.close();
  ASSERT_TRUE(until([&] { return server->stats().connections_open == 1; }));
  RawSocket four = client_sending(kGet);
  ASSERT_TRUE(until([&] { return four.has("GET /a|"); }));
}

TEST_F(ServerTest, PortInUseIsNamedWithARemedy) {
  serve_echo();
  Server other(io, limits, [](std::shared_ptr<Exchange>) {});
  const auto first = other.listen_tcp("127.0.0.1", 0);
  ASSERT_TRUE(first);
  const auto second = server->listen_tcp("127.0.0.1", *first);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().text().find(std::to_string(*first)), std::string::npos);
  EXPECT_NE(second.error().remedy.find("ss -ltnp"), std::string::npos);
}

TEST_F(ServerTest, UnixListenerIsPrivateReplacesADeadSocketAndSparesALivingOne) {
  serve_echo();
  {
    RawServer dead(path("s.sock"));
  }  // leaves its file behind
  ASSERT_TRUE(server->listen_unix(path("s.sock"), 7));
  struct stat status{};
  ASSERT_EQ(::stat(path("s.sock").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  RawSocket socket = RawSocket::connect(unix_address(path("s.sock")));
  socket.send(kGet);
  ASSERT_TRUE(until([&] { return socket.has("GET /a|"); }));

  Server other(io, limits, [](std::shared_ptr<Exchange>) {});
  EXPECT_FALSE(other.listen_unix(path("s.sock")));
  std::ofstream(path("plain")) << "text";
  EXPECT_FALSE(other.listen_unix(path("plain")));
  EXPECT_TRUE(std::filesystem::exists(path("plain")));
  server.reset();
  EXPECT_FALSE(std::filesystem::exists(path("s.sock")));
}

TEST_F(ServerTest, StopClosesIdleConnectionsAndLetsAnswersFinish) {
  serve_held();
  RawSocket idle = client(), busy = client_sending(kGet);
  ASSERT_TRUE(until([&] { return held.size() == 1 && server->stats().connections_open == 2; }));
  bool stopped = false;
  server->stop(10s, [&] { stopped = true; });
  ASSERT_TRUE(until([&] { return idle.is_ended(); }));
  settle();
  EXPECT_FALSE(stopped);
  held[0]->respond({.body = "last words"});
  ASSERT_TRUE(until([&] { return stopped; }));
  ASSERT_TRUE(until([&] { return busy.is_ended(); }));
  EXPECT_TRUE(busy.received.ends_with("last words"));
  EXPECT_NE(busy.received.find("connection: close"), std::string::npos);
}

TEST_F(ServerTest, StopCutsWhatIsLeftAfterTheGrace) {
  serve_held();
  RawSocket busy = client_sending(kGet);
  ASSERT_TRUE(until([&] { return held.size() == 1; }));
  bool stopped = false;
  bool gone = false;
  held[0]->on_client_gone([&] { gone = true; });
  server->stop(20ms, [&] { stopped = true; });
  ASSERT_TRUE(until([&] { return stopped && gone; }));
  ASSERT_TRUE(until([&] { return busy.is_ended(); }));
}

}  // namespace
}  // namespace tonnage::net
