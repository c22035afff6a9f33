// The parts that the test program plays when it is started with --fake-server SOCKET PART ARGS....
#include "engine/fake_server.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <iterator>
#include <string_view>

namespace tonnage {
namespace {

constexpr std::string_view kSwitch = "--fake-server";
constexpr int kBacklog = 64;
// A child that a failing test leaves behind ends by itself.
constexpr unsigned kOrphanSecondsMax = 60;

struct Play {
  std::string socket;
  std::string part;
  std::vector<std::string> arguments;

  int number(std::size_t i) const {
    return i < arguments.size() ? ::atoi(arguments[i].c_str()) : 0;
  }
};

void say(const std::string& line) {
  const std::string text = line + "\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

[[noreturn]] void wait_for_ever() {
  while (true)
    ::pause();
}

int listen_on(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(fd, kBacklog) != 0) {
    say("E srv         start: couldn't bind HTTP server socket, hostname: " + path);
    ::_exit(1);
  }
  return fd;
}

// "GET /slots HTTP/1.1 ...": "/slots".
std::string read_request(int connection) {
  std::string request;
  std::array<char, 1024> buffer{};
  while (request.find("\r\n\r\n") == std::string::npos) {
    const auto count = ::read(connection, buffer.data(), buffer.size());
    if (count <= 0)
      return {};
    request.append(buffer.data(), static_cast<std::size_t>(count));
  }
  const std::size_t begin = request.find(' ') + 1;
  return request.substr(begin, request.find(' ', begin) - begin);
}

void answer(int connection, int status, const std::string& body) {
  const std::string text = "HTTP/1.1 " + std::to_string(status) +
                           " Text\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
                           body;
  [[maybe_unused]] const auto written = ::write(connection, text.data(), text.size());
}

void describe_surroundings(char** environment) {
  for (char** entry = environment; *entry != nullptr; ++entry)
    say(std::string("env ") + *entry);
  DIR* listing = ::opendir("/proc/self/fd");
  while (const dirent* entry = ::readdir(listing)) {
    const int fd = ::atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd != ::dirfd(listing))
      say("fd " + std::to_string(fd));
  }
  ::closedir(listing);
  int parent_signal = 0;
  ::prctl(PR_GET_PDEATHSIG, &parent_signal);
  say("pdeathsig " + std::to_string(parent_signal));
  say("group leader " + std::string(::getpgrp() == ::getpid() ? "yes" : "no"));
  struct sigaction pipe_action{};
  ::sigaction(SIGPIPE, nullptr, &pipe_action);
  say("sigpipe " + std::string(pipe_action.sa_handler == SIG_DFL ? "default" : "changed"));
  sigset_t blocked;
  ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
  say("sigusr1 " + std::string(::sigismember(&blocked, SIGUSR1) == 1 ? "blocked" : "open"));
}

// PART            what it does
// ready           serves at once
// late N          answers N health probes with 503, then serves
// never           answers every health probe with 503
// absent          never listens
// last-words C T  prints T, exits with C
// abort T         prints T, ends by SIGABRT
// stubborn        serves, ignores SIGTERM
// graceful        serves, ends with 0 on SIGTERM
// silent-after N  answers N health probes, then takes connections without a word
// chatter N       prints a line of N bytes without and one with an end, then serves
// surroundings    prints its environment, descriptors and signals, then serves
// family          has a child in its group, prints its number, then serves
// slots N S       serves; N looks at /slots find S slots busy, later ones none
class FakeServer {
 public:
  explicit FakeServer(Play play) : play_(std::move(play)) {}

  [[noreturn]] void run(char** environment) {
    prepare(environment);
    const int listener = listen_on(play_.socket);
    say("listening");
    while (true) {
      const int connection = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0)
        continue;
      if (serve(connection))
        ::close(connection);
    }
  }

 private:
  void prepare(char** environment) {
    if (play_.part == "absent")
      wait_for_ever();
    if (play_.part == "last-words") {
      if (play_.arguments.size() > 1)
        say(play_.arguments[1]);
      ::_exit(play_.number(0));
    }
    if (play_.part == "abort") {
      say(play_.arguments.at(0));
      ::signal(SIGABRT, SIG_DFL);
      ::abort();
    }
    if (play_.part == "graceful") {
      ::signal(SIGTERM, [](int) { ::_exit(0); });
    }
    if (play_.part == "stubborn")
      ::signal(SIGTERM, SIG_IGN);
    if (play_.part == "surroundings")
      describe_surroundings(environment);
    if (play_.part == "family") {
      const int child = ::fork();
      if (child == 0) {
        ::alarm(kOrphanSecondsMax);
        wait_for_ever();
      }
      say("child " + std::to_string(child));
    }
    if (play_.part == "chatter") {
      const std::string text(static_cast<std::size_t>(play_.number(0)), 'y');
      say(text);
      say("after the long line");
    }
  }

  // False when the connection is to stay open.
  bool serve(int connection) {
    const std::string path = read_request(connection);
    if (path == "/slots") {
      const bool busy = looks_++ < play_.number(0);
      const int slots = play_.number(1);
      std::string body = "[";
      for (int i = 0; i < slots; ++i) {
        body += std::string(i > 0 ? "," : "") + R"({"id":)" + std::to_string(i) +
                R"(,"is_processing":)" + (busy ? "true" : "false") + "}";
      }
      answer(connection, 200, body + "]");
      return true;
    }
    ++probes_;
    if (play_.part == "silent-after" && probes_ > play_.number(0))
      return false;
    const bool loading =
        play_.part == "never" || (play_.part == "late" && probes_ <= play_.number(0));
    answer(connection, loading ? 503 : 200, loading ? "loading" : "ok");
    return true;
  }

  Play play_;
  int probes_ = 0;
  int looks_ = 0;
};

// Runs before main() and before the test framework looks at the arguments.
[[gnu::constructor]] void play_if_asked(int argc, char** argv, char** environment) {
  if (argc < 4 || argv[1] != kSwitch)
    return;
  FakeServer server(Play{.socket = argv[2], .part = argv[3], .arguments = {argv + 4, argv + argc}});
  server.run(environment);
}

}  // namespace

std::vector<std::string> fake_server_argv(const std::filesystem::path& socket, std::string part,
                                          std::vector<std::string> arguments) {
  std::vector<std::string> argv{"/proc/self/exe", std::string(kSwitch), socket.string(),
                                std::move(part)};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

}  // namespace tonnage
