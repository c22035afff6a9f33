#include "daemon/service_notify.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

TEST(ServiceNotify, ReadsWhatTheServiceManagerWants) {
  EXPECT_EQ(service_order(nullptr, nullptr, nullptr, 7).socket, "");
  const ServiceOrder order = service_order("/run/notify", "3000000", "7", 7);
  EXPECT_EQ(order.socket, "/run/notify");
  EXPECT_EQ(order.watchdog, 3s);
  EXPECT_EQ(service_order("@abstract", "500", nullptr, 7).watchdog, 500us);
}

TEST(ServiceNotify, AWatchdogThatIsNotOursIsNone) {
  EXPECT_FALSE(service_order("/run/notify", "3000000", "8", 7).watchdog);
  EXPECT_FALSE(service_order("/run/notify", "3000000", "", 7).watchdog);
  EXPECT_FALSE(service_order(nullptr, "3000000", "7", 7).watchdog);
  for (const char* usec : {"", "0", "-1", "3s", "18446744073709551615", "99999999999999999999"})
    EXPECT_FALSE(service_order("/run/notify", usec, nullptr, 7).watchdog) << usec;
}

TEST(ServiceNotify, TheEnvironmentLosesWhatChildrenMustNotSee) {
  ::setenv("NOTIFY_SOCKET", "@tonnage-nobody", 1);
  ::setenv("WATCHDOG_USEC", "1000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  const ServiceOrder order = take_service_order();
  EXPECT_EQ(order.socket, "@tonnage-nobody");
  EXPECT_EQ(order.watchdog, 1s);
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
    EXPECT_EQ(std::getenv(name), nullptr) << name;
}

TEST(ServiceNotify, MessagesAreOneAssignmentALine) {
  EXPECT_EQ(ready_message("serving 2 models"), "READY=1\nSTATUS=serving 2 models");
  EXPECT_EQ(status_message("two\nREADY=1\tlines"), "STATUS=two READY=1 lines");
  EXPECT_EQ(stopping_message("draining", 45s),
            "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=45000000");
  EXPECT_EQ(reloading_message("again", 12s + 5us),
            "RELOADING=1\nMONOTONIC_USEC=12000005\nSTATUS=again");
}

TEST(ServiceNotify, TheClockIsTheManagersClock) {
  timespec before{};
  ::clock_gettime(CLOCK_MONOTONIC, &before);
  const Duration now = monotonic_time();
  timespec after{};
  ::clock_gettime(CLOCK_MONOTONIC, &after);
  EXPECT_GE(now.count(), before.tv_sec * 1'000'000 + before.tv_nsec / 1000);
  EXPECT_LE(now.count(), after.tv_sec * 1'000'000 + after.tv_nsec / 1000);
}

// A service manager's end of the socket.
class Hearer {
 public:
  explicit Hearer(const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name.front() == '@')
      address.sun_path[0] = '\0';
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const auto length = offsetof(sockaddr_un, sun_path) + name.size();
    EXPECT_EQ(::bind(socket_, reinterpret_cast<const sockaddr*>(&address),
                     static_cast<socklen_t>(length)),
              0)
        << name << ": " << std::strerror(errno);
  }
  ~Hearer() { ::close(socket_); }
  Hearer(const Hearer&) = delete;
  Hearer& operator=(const Hearer&) = delete;

  std::string heard() {
    char buffer[4096];
    const auto size = ::recv(socket_, buffer, sizeof(buffer), 0);
    return size < 0 ? "" : std::string(buffer, static_cast<std::size_t>(size));
  }

 private:
  int socket_ = -1;
};

TEST(ServiceNotify, SpeaksToPathsAndToAbstractNames) {
  std::string folder = testing::TempDir() + "tonnage-notify-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string abstract = "@tonnage-test-" + std::to_string(::getpid());
  for (const std::string& name : {folder + "/notify", abstract}) {
    Hearer manager(name);
    const ServiceNotify notify(name);
    EXPECT_TRUE(notify.send("READY=1")) << name;
    EXPECT_EQ(manager.heard(), "READY=1") << name;
  }
  ::unlink((folder + "/notify").c_str());
  ::rmdir(folder.c_str());
}

TEST(ServiceNotify, NobodyAndNonsenseHearNothing) {
  for (const std::string& name :
       {std::string(), std::string("/"), std::string("@"), std::string("vsock:2:1234"),
        std::string("relative/path"), "/" + std::string(200, 'x')}) {
    const ServiceNotify notify(name);
    EXPECT_FALSE(notify.is_open()) << name;
    EXPECT_FALSE(notify.send("READY=1")) << name;
  }
  EXPECT_FALSE(ServiceNotify("/nonexistent/notify").send("READY=1"));
}

TEST(ServiceNotify, AManagerThatReadsNothingHoldsNobodyUp) {
  const std::string name = "@tonnage-test-full-" + std::to_string(::getpid());
  const Hearer manager(name);
  const ServiceNotify notify(name);
  int taken = 0;
  while (notify.send("WATCHDOG=1"))
    ASSERT_LT(++taken, 100'000);
  EXPECT_GT(taken, 0);
}

}  // namespace
}  // namespace tonnage
