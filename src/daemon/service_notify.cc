#include "daemon/service_notify.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <limits>

namespace tonnage {
namespace {

constexpr const char* kSocketVariable = "NOTIFY_SOCKET";
constexpr const char* kUsecVariable = "WATCHDOG_USEC";
constexpr const char* kPidVariable = "WATCHDOG_PID";

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

std::string one_line(std::string_view text) {
  std::string line(text);
  std::ranges::replace_if(line, [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return line;
}

}  // namespace

ServiceOrder service_order(const char* socket, const char* watchdog_usec, const char* watchdog_pid,
                           pid_t own) {
  ServiceOrder order;
  if (socket != nullptr)
    order.socket = socket;
  if (watchdog_usec == nullptr || order.socket.empty())
    return order;
  if (watchdog_pid != nullptr && number(watchdog_pid) != own)
    return order;
  const auto usec = number(watchdog_usec);
  // systemd's "infinity" is the largest 64-bit number, which does not fit, and asks for nothing.
  if (usec && *usec > 0 && *usec < std::numeric_limits<std::int64_t>::max())
    order.watchdog = Duration(*usec);
  return order;
}

ServiceOrder take_service_order() {
  const ServiceOrder order = service_order(std::getenv(kSocketVariable), std::getenv(kUsecVariable),
                                           std::getenv(kPidVariable), ::getpid());
  for (const char* name : {kSocketVariable, kUsecVariable, kPidVariable})
    ::unsetenv(name);
  return order;
}

std::string ready_message(std::string_view status) {
  return "READY=1\nSTATUS=" + one_line(status);
}

std::string status_message(std::string_view status) {
  return "STATUS=" + one_line(status);
}

std::string stopping_message(std::string_view status, Duration longest) {
  return "STOPPING=1\nSTATUS=" + one_line(status) +
         "\nEXTEND_TIMEOUT_USEC=" + std::to_string(longest.count());
}

std::string reloading_message(std::string_view status, Duration monotonic) {
  return "RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic.count()) +
         "\nSTATUS=" + one_line(status);
}

Duration monotonic_time() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::chrono::seconds(now.tv_sec) +
         std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(now.tv_nsec));
}

ServiceNotify::ServiceNotify(std::string_view socket) {
  const bool is_unix = socket.starts_with('/') || socket.starts_with('@');
  if (!is_unix || socket.size() < 2 || socket.size() > sizeof(address_.sun_path))
    return;
  address_.sun_family = AF_UNIX;
  std::memcpy(address_.sun_path, socket.data(), socket.size());
  length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket.size());
  if (socket.front() == '@') {
    address_.sun_path[0] = '\0';
  } else if (socket.size() < sizeof(address_.sun_path)) {
    ++length_;  // the NUL at the end of a path
  }
  socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

ServiceNotify::~ServiceNotify() {
  if (socket_ >= 0)
    ::close(socket_);
}

bool ServiceNotify::send(std::string_view message) const {
  if (socket_ < 0)
    return false;
  for (;;) {
    const auto sent = ::sendto(socket_, message.data(), message.size(), MSG_NOSIGNAL,
                               reinterpret_cast<const sockaddr*>(&address_), length_);
    if (sent >= 0)
      return true;
    if (errno != EINTR)
      return false;
  }
}

}  // namespace tonnage
