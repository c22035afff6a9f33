// A model server without a model, for the proxy benchmark: understands llama-server's `--host SOCK`
// and `--version`, answers GET with 200 (so /health is well) and POST with a fixed body of 1 KB.
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

namespace {

constexpr std::size_t kBodyBytes = 1024;
constexpr std::size_t kRequestBytesMax = 1 << 20;

std::string response(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string answer_body() {
  std::string body = R"({"object":"text_completion","choices":[{"index":0,"text":")";
  const std::string end = R"("}]})";
  body.append(kBodyBytes - body.size() - end.size(), 'x');
  return body + end;
}

// The length that a request's header gives its body; header names come in any case.
std::size_t content_length(std::string_view header) {
  constexpr std::string_view kName = "\r\ncontent-length:";
  for (std::size_t at = 0; at + kName.size() < header.size(); ++at) {
    if (::strncasecmp(header.data() + at, kName.data(), kName.size()) == 0)
      return std::strtoul(header.data() + at + kName.size(), nullptr, 10);
  }
  return 0;
}

// Takes every whole request off the front of `input`; returns the answers to them.
std::string answers_to(std::string& input) {
  static const std::string kAnswer = response(answer_body());
  static const std::string kHealth = response(R"({"status":"ok"})");
  std::string output;
  for (;;) {
    const std::size_t end = input.find("\r\n\r\n");
    if (end == std::string::npos)
      return output;
    const std::size_t whole = end + 4 + content_length(std::string_view(input).substr(0, end + 2));
    if (input.size() < whole)
      return output;
    output += input.starts_with("GET ") ? kHealth : kAnswer;
    input.erase(0, whole);
  }
}

int listen_at(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (std::strlen(path) >= sizeof(address.sun_path))
    return -1;
  std::strcpy(address.sun_path, path);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(fd, 128) != 0) {
    return -1;
  }
  return fd;
}

// False when the peer has gone or sends more than anybody should.
bool serve_once(int fd, std::string& input) {
  std::array<char, 16384> buffer{};
  const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
  if (got <= 0)
    return false;
  input.append(buffer.data(), static_cast<std::size_t>(got));
  std::string_view output_left;
  const std::string output = answers_to(input);
  output_left = output;
  while (!output_left.empty()) {
    const ssize_t sent = ::send(fd, output_left.data(), output_left.size(), MSG_NOSIGNAL);
    if (sent <= 0)
      return false;
    output_left.remove_prefix(static_cast<std::size_t>(sent));
  }
  return input.size() <= kRequestBytesMax;
}

[[noreturn]] void serve(int listener) {
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event wanted{.events = EPOLLIN, .data = {.fd = listener}};
  ::epoll_ctl(poll, EPOLL_CTL_ADD, listener, &wanted);
  std::map<int, std::string> inputs;
  std::array<epoll_event, 64> events{};
  for (;;) {
    const int count = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == listener) {
        const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (client < 0)
          continue;
        epoll_event more{.events = EPOLLIN, .data = {.fd = client}};
        ::epoll_ctl(poll, EPOLL_CTL_ADD, client, &more);
        inputs[client];
      } else if (!serve_once(fd, inputs[fd])) {
        inputs.erase(fd);
        ::close(fd);
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const char* host = nullptr;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--version") == 0) {
      std::puts("version: stub (build 0, commit none)");
      return 0;
    }
    if (std::strcmp(argv[i], "--host") == 0 && i + 1 < argc)
      host = argv[i + 1];
  }
  if (host == nullptr) {
    std::fputs("stub_server --host SOCKET\n", stderr);
    return 2;
  }
  const int listener = listen_at(host);
  if (listener < 0) {
    std::perror(host);
    return 1;
  }
  serve(listener);
}
