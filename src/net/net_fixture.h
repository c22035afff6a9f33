// NetTest: a server on a loopback port whose handler the test chooses.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/socket_fixture.h"
#include "net/server.h"

namespace tonnage::net {

// Time-outs are small and real.
class NetTest : public SocketTest {
 protected:
  NetTest() {
    limits.timer_step = 5ms;
    limits.spill_folder = folder();
  }
  ~NetTest() override {
    server.reset();
    held.clear();
  }

  void serve(Server::Handler handler) {
    server = std::make_unique<Server>(io, limits, std::move(handler));
    const auto port = server->listen_tcp("127.0.0.1", 0);
    ASSERT_TRUE(port) << port.error().text();
    port_ = *port;
  }
  // Keeps every request for the test to answer.
  void serve_held() {
    serve([this](std::shared_ptr<Exchange> exchange) { held.push_back(std::move(exchange)); });
  }
  // Relays every request to `upstream` and keeps how it ended.
  void serve_relay(const Address& upstream) {
    serve([this, upstream](std::shared_ptr<Exchange> exchange) {
      held.push_back(exchange);
      RelayTarget target = make_target(upstream, *exchange);
      exchange->relay(std::move(target), [this](RelayResult result) { keep(std::move(result)); });
    });
  }
  RelayTarget make_target(const Address& upstream, const Exchange& exchange) {
    RelayTarget target;
    target.upstream = upstream;
    target.target = std::string(exchange.target());
    if (adjust)
      adjust(target);
    return target;
  }
  void keep(RelayResult result) {
    results.push_back(std::move(result));
    if (on_result)
      on_result(results.back());
  }

  RawSocket client(int receive_buffer = 0) {
    return RawSocket::connect(tcp_address("127.0.0.1", port_), receive_buffer);
  }
  RawSocket client_sending(std::string_view text) {
    RawSocket socket = client();
    socket.send(text);
    return socket;
  }

  Limits limits;
  std::unique_ptr<Server> server;
  std::vector<std::shared_ptr<Exchange>> held;
  std::vector<RelayResult> results;
  std::function<void(RelayTarget&)> adjust;
  std::function<void(RelayResult&)> on_result;

 private:
  std::uint16_t port_ = 0;
};

inline const std::string kSseHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
inline const std::string kGet = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

inline std::string post_text(std::string_view body, std::string_view fields = {}) {
  return "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + std::string(fields) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

// "date: ...\r\n" of an answer.
inline std::string date_line(std::string_view received) {
  const auto at = received.find("date: ");
  return at == received.npos ? std::string("no date")
                             : std::string(received.substr(at, received.find('\n', at) + 1 - at));
}

// What was received, without the dates of its heads.
inline std::string without_dates(std::string received) {
  for (auto at = received.find("\r\ndate: "); at != received.npos;
       at = received.find("\r\ndate: ", at)) {
    received.erase(at, received.find("\r\n", at + 2) - at);
  }
  return received;
}

inline std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
    ++count;
  return count;
}

}  // namespace tonnage::net
