#include "llama/http.h"

#include <poll.h>

#include <chrono>
#include <thread>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

namespace fake_gpu {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using Socket = asio::local::stream_protocol::socket;

constexpr std::uint64_t kBodyMax = std::uint64_t{64} << 20;

void name_server(http::fields& fields) {
  fields.set(http::field::server, "llama.cpp");
}

class Reply final : public HttpReply {
 public:
  Reply(Socket& socket, bool keep_alive) : socket_(socket), keep_alive_(keep_alive) {}

  void answer(int status, const std::string& body) override {
    http::response<http::string_body> response(static_cast<http::status>(status), 11);
    name_server(response);
    response.set(http::field::content_type, "application/json; charset=utf-8");
    response.body() = body;
    response.keep_alive(keep_alive_);
    response.prepare_payload();
    error_code error;
    http::write(socket_, response, error);
    left_ = left_ || error.failed();
  }

  void begin() override {
    http::response<http::empty_body> head(http::status::ok, 11);
    name_server(head);
    head.set(http::field::content_type, "text/event-stream");
    head.keep_alive(keep_alive_);
    head.chunked(true);
    http::response_serializer<http::empty_body> serializer(head);
    error_code error;
    http::write_header(socket_, serializer, error);
    left_ = left_ || error.failed();
  }

  bool event(const std::string& data) override {
    const std::string text = "data: " + data + "\n\n";
    error_code error;
    asio::write(socket_, http::make_chunk(asio::buffer(text)), error);
    left_ = left_ || error.failed();
    return !left_;
  }

  void end() override {
    error_code error;
    asio::write(socket_, http::make_chunk_last(), error);
    left_ = left_ || error.failed();
  }

  bool wait_ms(int ms) override {
    pollfd client{.fd = socket_.native_handle(), .events = POLLRDHUP, .revents = 0};
    if (left_ || ::poll(&client, 1, ms) > 0)
      left_ = true;
    return !left_;
  }

  bool left() const { return left_; }

 private:
  Socket& socket_;
  bool keep_alive_;
  bool left_ = false;
};

std::map<std::string, std::string> query_of(std::string_view text) {
  std::map<std::string, std::string> query;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    query[std::string(pair.substr(0, equals))] =
        std::string(pair.substr(std::min(equals + 1, pair.size())));
  }
  return query;
}

HttpRequest taken(http::request<http::string_body>& from) {
  const std::string target(from.target());
  const std::size_t mark = std::min(target.find('?'), target.size());
  return {.method = std::string(from.method_string()),
          .path = target.substr(0, mark),
          .query = query_of(std::string_view(target).substr(std::min(mark + 1, target.size()))),
          .body = std::move(from.body())};
}

void serve(Socket socket, const HttpServer::Handler& handler) {
  boost::beast::flat_buffer buffer;
  while (true) {
    http::request_parser<http::string_body> parser;
    parser.body_limit(kBodyMax);
    error_code error;
    http::read(socket, buffer, parser, error);
    if (error.failed())
      return;
    const bool keep_alive = parser.get().keep_alive();
    Reply reply(socket, keep_alive);
    handler(taken(parser.get()), reply);
    if (!keep_alive || reply.left())
      return;
  }
}

}  // namespace

struct HttpServer::Parts {
  explicit Parts(const std::string& socket)
      : acceptor(io, asio::local::stream_protocol::endpoint(socket)) {}

  asio::io_context io;
  asio::local::stream_protocol::acceptor acceptor;
  Handler handler;
};

HttpServer::HttpServer(const std::string& socket, Handler handler)
    : parts_(std::make_unique<Parts>(socket)) {
  parts_->handler = std::move(handler);
}

HttpServer::~HttpServer() = default;

void HttpServer::start() {
  std::thread([this] {
    while (true) {
      error_code error;
      Socket socket(parts_->io);
      parts_->acceptor.accept(socket, error);
      if (error.failed())
        continue;
      std::thread(serve, std::move(socket), std::cref(parts_->handler)).detach();
    }
  }).detach();
}

}  // namespace fake_gpu
