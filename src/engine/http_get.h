// HttpGet: one small GET over a unix socket; health probes and looks at slots need no more.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/file_handle.h"

namespace boost::asio {
class io_context;
}

namespace tonnage {

// A connection to the socket at `path`, or none: nobody listens there (yet), or its backlog is
// full, or this process has no descriptor left; `error` says which (is_own_shortage). Never blocks;
// costs one system call while the socket does not exist.
FileHandle connect_unix(const std::filesystem::path& path, int& error);
FileHandle connect_unix(const std::filesystem::path& path);

struct HttpAnswer {
  int status = 0;  // 0: the connection broke, or what came was not HTTP
  std::string body;
};

// What has come so far; `complete` once the body is whole. `at_end`: nothing more will come.
struct HttpReading {
  bool complete = false;
  HttpAnswer answer;
};
HttpReading read_http_answer(std::string_view received, bool at_end);

class HttpGet {
 public:
  using Done = std::function<void(HttpAnswer)>;

  // Sends the request on `connection` and calls `done` once, never from inside start(). The
  // connection is closed afterwards. Destroying the handle ends the exchange without a call;
  // there is no time limit of its own.
  static std::shared_ptr<HttpGet> start(boost::asio::io_context& loop, FileHandle connection,
                                        std::string_view target, Done done);
  ~HttpGet();

 private:
  class State;
  explicit HttpGet(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace tonnage
