// ServiceNotify: tells a service manager how the daemon does, in the words of sd_notify(3).
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/tick.h"

namespace tonnage {

// What the service manager that started this process wants to hear.
struct ServiceOrder {
  std::string socket;                // NOTIFY_SOCKET; empty: nobody listens
  std::optional<Duration> watchdog;  // a ping is expected within this; empty: none is
};

// From the values of NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; null where one is not set. A
// watchdog that is meant for another process, or that cannot be read, is none.
ServiceOrder service_order(const char* socket, const char* watchdog_usec, const char* watchdog_pid,
                           pid_t own);

// The same from the environment, which loses the three: nothing that the daemon starts may speak in
// its name. To be called before there is a second thread.
ServiceOrder take_service_order();

// Messages. A status is one line; what would end it becomes a space.
std::string ready_message(std::string_view status);
std::string status_message(std::string_view status);
// `longest` is how long the end may take; the service manager waits for at least as long.
std::string stopping_message(std::string_view status, Duration longest);
// `monotonic` is CLOCK_MONOTONIC's time; the manager pairs the message with its own request by it.
std::string reloading_message(std::string_view status, Duration monotonic);
inline constexpr std::string_view kWatchdogMessage = "WATCHDOG=1";

// CLOCK_MONOTONIC's time now.
Duration monotonic_time();

// The socket of a service manager: a path, or an abstract name that begins with '@'.
class ServiceNotify {
 public:
  // An empty name, or one that is no unix socket's, is a manager that hears nothing.
  explicit ServiceNotify(std::string_view socket);
  ~ServiceNotify();
  ServiceNotify(const ServiceNotify&) = delete;
  ServiceNotify& operator=(const ServiceNotify&) = delete;

  bool is_open() const { return socket_ >= 0; }
  // False where it was not taken. Never blocks.
  bool send(std::string_view message) const;

 private:
  sockaddr_un address_{};
  socklen_t length_ = 0;
  int socket_ = -1;
};

}  // namespace tonnage
