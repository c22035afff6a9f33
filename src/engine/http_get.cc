#include "engine/http_get.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include "base/descriptors.h"

namespace tonnage {
namespace {

// A slot of llama-server describes itself in about 2 KiB; 64 slots fit eight times.
constexpr std::size_t kAnswerBytesMax = 1024 * 1024;

bool same_letters(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return (x | 0x20) == (y | 0x20); });
}

std::optional<std::size_t> content_length(std::string_view head) {
  constexpr std::string_view kName = "content-length:";
  while (!head.empty()) {
    const std::size_t end = std::min(head.find("\r\n"), head.size());
    std::string_view line = head.substr(0, end);
    head.remove_prefix(std::min(end + 2, head.size()));
    if (line.size() < kName.size() || !same_letters(line.substr(0, kName.size()), kName))
      continue;
    line.remove_prefix(std::min(line.find_first_not_of(' ', kName.size()), line.size()));
    std::size_t length = 0;
    const auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), length);
    if (error == std::errc())
      return length;
  }
  return std::nullopt;
}

// "HTTP/1.1 200 OK": 200. 0 when it is something else.
int status_of(std::string_view head) {
  if (!head.starts_with("HTTP/1.") || head.size() < 12)
    return 0;
  int status = 0;
  const auto [stop, error] = std::from_chars(head.data() + 9, head.data() + 12, status);
  return error == std::errc() && stop == head.data() + 12 ? status : 0;
}

}  // namespace

FileHandle connect_unix(const std::filesystem::path& path) {
  int ignored = 0;
  return connect_unix(path, ignored);
}

FileHandle connect_unix(const std::filesystem::path& path, int& error) {
  error = ENAMETOOLONG;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& name = path.native();
  if (name.size() >= sizeof(address.sun_path))
    return {};
  std::memcpy(address.sun_path, name.c_str(), name.size());
  FileHandle connection(open_with_reserve(
      [] { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }));
  // A unix socket connects at once or not at all: there is nothing to wait for.
  if (!connection || ::connect(connection.get(), reinterpret_cast<const sockaddr*>(&address),
                               sizeof(address)) != 0) {
    error = errno;
    return {};
  }
  error = 0;
  return connection;
}

HttpReading read_http_answer(std::string_view received, bool at_end) {
  HttpReading reading;
  const std::size_t head_end = received.find("\r\n\r\n");
  if (head_end == std::string_view::npos) {
    reading.complete = at_end || received.size() >= kAnswerBytesMax;
    return reading;
  }
  const std::string_view head = received.substr(0, head_end + 2);
  const std::string_view body = received.substr(head_end + 4);
  const auto length = content_length(head);
  const bool whole = length.has_value() ? body.size() >= *length : at_end;
  if (!whole && !at_end && received.size() < kAnswerBytesMax)
    return reading;
  reading.complete = true;
  if (whole) {
    reading.answer.status = status_of(head);
    reading.answer.body = std::string(length ? body.substr(0, *length) : body);
  }
  return reading;
}

class HttpGet::State : public std::enable_shared_from_this<HttpGet::State> {
 public:
  State(boost::asio::io_context& loop, FileHandle connection, Done done)
      : descriptor_(loop, connection.release()), done_(std::move(done)) {}

  void start(std::string_view target) {
    // Close after the answer: a server thread that waits for a next request wakes up a hundred
    // times a second to do so.
    const std::string request =
        "GET " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    // A fresh socket's buffer takes a request this small whole, or the connection is broken.
    const auto sent = ::send(descriptor_.native_handle(), request.data(), request.size(),
                             MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == static_cast<ssize_t>(request.size())) {
      wait();
      return;
    }
    boost::asio::post(descriptor_.get_executor(), [weak = weak_from_this()] {
      if (const auto self = weak.lock())
        self->finish(HttpAnswer{});
    });
  }

  void cancel() {
    done_ = nullptr;
    boost::system::error_code ignored;
    descriptor_.close(ignored);
  }

 private:
  void wait() {
    descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                           [weak = weak_from_this()](const boost::system::error_code& error) {
                             const auto self = weak.lock();
                             if (self && !error)
                               self->receive();
                           });
  }

  void receive() {
    std::array<char, 16 * 1024> buffer{};
    const auto count =
        ::recv(descriptor_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
      wait();
      return;
    }
    if (count > 0)
      received_.append(buffer.data(), static_cast<std::size_t>(count));
    HttpReading reading = read_http_answer(received_, count <= 0);
    if (reading.complete) {
      finish(std::move(reading.answer));
    } else {
      wait();
    }
  }

  void finish(HttpAnswer answer) {
    const Done done = std::exchange(done_, nullptr);
    boost::system::error_code ignored;
    descriptor_.close(ignored);
    if (done)
      done(std::move(answer));
  }

  boost::asio::posix::stream_descriptor descriptor_;
  std::string received_;
  Done done_;
};

HttpGet::HttpGet(std::shared_ptr<State> state) : state_(std::move(state)) {}

HttpGet::~HttpGet() {
  state_->cancel();
}

std::shared_ptr<HttpGet> HttpGet::start(boost::asio::io_context& loop, FileHandle connection,
                                        std::string_view target, Done done) {
  auto state = std::make_shared<State>(loop, std::move(connection), std::move(done));
  state->start(target);
  return std::shared_ptr<HttpGet>(new HttpGet(std::move(state)));
}

}  // namespace tonnage
