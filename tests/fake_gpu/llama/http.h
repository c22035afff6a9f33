// HttpServer: HTTP/1.1 on a unix socket, a thread per connection.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace fake_gpu {

struct HttpRequest {
  std::string method;
  std::string path;  // without what follows the question mark
  std::map<std::string, std::string> query;
  std::string body;
};

// The way back to one client. Every member may be called from the thread of its request only.
class HttpReply {
 public:
  virtual ~HttpReply() = default;

  virtual void answer(int status, const std::string& json) = 0;
  // A text/event-stream: begin(), each event's data, end(). False when the client has left.
  virtual void begin() = 0;
  virtual bool event(const std::string& data) = 0;
  virtual void end() = 0;
  // Waits so long, or until the client has left: then it is false.
  virtual bool wait_ms(int ms) = 0;
};

class HttpServer {
 public:
  using Handler = std::function<void(const HttpRequest&, HttpReply&)>;

  // Throws where the socket cannot be bound.
  HttpServer(const std::string& socket, Handler handler);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  // Takes connections in a thread of its own, for ever.
  void start();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace fake_gpu
