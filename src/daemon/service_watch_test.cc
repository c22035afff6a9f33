#include "daemon/service_watch.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

TEST(ServiceWatch, TheSchedulerMovesUnlessADeadlineWasMissed) {
  const Tick now{100s};
  EXPECT_TRUE(scheduler_moves(now, std::nullopt));
  EXPECT_TRUE(scheduler_moves(now, now + 1h));
  EXPECT_TRUE(scheduler_moves(now, now - kDeadlineMissedAfter));
  EXPECT_FALSE(scheduler_moves(now, now - kDeadlineMissedAfter - 1us));
}

Snapshot snapshot_of(std::size_t ready, std::size_t absent) {
  Snapshot snapshot;
  PoolSnapshot pool;
  pool.name = "host";
  pool.budget = 340_MiB;
  pool.reserved = 309_MiB;
  snapshot.pools.push_back(pool);
  for (std::size_t i = 0; i < ready + absent; ++i) {
    ModelSnapshot model;
    model.id = "m" + std::to_string(i);
    if (i < ready)
      model.state = ResidencyState::ready;
    snapshot.models.push_back(model);
  }
  return snapshot;
}

TEST(ServiceWatch, TheStatusIsALine) {
  EXPECT_EQ(service_status(snapshot_of(1, 2), "127.0.0.1:8726"),
            "serving 3 models at 127.0.0.1:8726; ready: m0; host: 309 MiB of 340 MiB reserved");
  EXPECT_EQ(service_status(snapshot_of(0, 1), "[::1]:1"),
            "serving 1 model at [::1]:1; ready: none; host: 309 MiB of 340 MiB reserved");
  EXPECT_NE(service_status(snapshot_of(10, 0), "x").find("m6, m7 and 2 more;"), std::string::npos);
  Snapshot troubled = snapshot_of(0, 1);
  troubled.problems.push_back({"load_stalled", "m0 has been loading for 30s"});
  EXPECT_TRUE(service_status(troubled, "x").ends_with("; m0 has been loading for 30s"));
}

class Watched : public testing::Test {
 protected:
  Watched() : name_("@tonnage-watch-" + std::to_string(::getpid())) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name_.data() + 1, name_.size() - 1);
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const auto length = offsetof(sockaddr_un, sun_path) + name_.size();
    EXPECT_EQ(::bind(socket_, reinterpret_cast<const sockaddr*>(&address),
                     static_cast<socklen_t>(length)),
              0);
  }
  ~Watched() override { ::close(socket_); }

  // What arrived since the last look, the first line of each message.
  std::vector<std::string> heard() {
    std::vector<std::string> messages;
    char buffer[4096];
    for (;;) {
      const auto size = ::recv(socket_, buffer, sizeof(buffer), 0);
      if (size < 0)
        return messages;
      const std::string text(buffer, static_cast<std::size_t>(size));
      messages.push_back(text.substr(0, text.find('\n')));
    }
  }

  ServiceWatch watch(std::optional<Duration> watchdog) {
    return {io_, {name_, watchdog}, {[this] { return moves_; }, [this] { return status_; }}};
  }

  using Lines = std::vector<std::string>;
  boost::asio::io_context io_;
  std::string name_;
  int socket_ = -1;
  bool moves_ = true;
  std::string status_ = "fine";
};

TEST_F(Watched, SaysReadyAndThenPingsOnlyWhileTheSchedulerMoves) {
  ServiceWatch watch = this->watch(2ms);
  EXPECT_EQ(heard(), Lines{});  // nothing before it serves
  watch.serving();
  EXPECT_EQ(heard(), (Lines{"READY=1", "WATCHDOG=1"}));
  const auto next_beat = [this] {
    io_.run_one();  // the timer
    io_.run_one();  // the look behind it
    return heard();
  };
  EXPECT_EQ(next_beat(), Lines{"WATCHDOG=1"});
  moves_ = false;
  EXPECT_EQ(next_beat(), Lines{});
  EXPECT_EQ(next_beat(), Lines{});
  moves_ = true;
  EXPECT_EQ(next_beat(), Lines{"WATCHDOG=1"});
  watch.end();
  EXPECT_EQ(io_.run(), 1u);  // the cancelled timer, and nothing after it
}

TEST_F(Watched, AChangedStatusIsToldOnce) {
  ServiceWatch watch = this->watch(2ms);
  watch.serving();
  heard();
  status_ = "loading";
  io_.run_one();
  io_.run_one();
  EXPECT_EQ(heard(), (Lines{"WATCHDOG=1", "STATUS=loading"}));
  io_.run_one();
  io_.run_one();
  EXPECT_EQ(heard(), Lines{"WATCHDOG=1"});
}

TEST_F(Watched, WithoutAWatchdogNobodyIsPinged) {
  ServiceWatch watch = this->watch(std::nullopt);
  watch.serving();
  EXPECT_EQ(heard(), Lines{"READY=1"});
  watch.reloading();
  EXPECT_EQ(heard(), Lines{"RELOADING=1"});
  watch.serving();
  EXPECT_EQ(heard(), Lines{"READY=1"});
  watch.stopping(30s);
  EXPECT_EQ(heard(), Lines{"STOPPING=1"});
}

TEST_F(Watched, TheStatusOfTheEndStays) {
  ServiceWatch watch = this->watch(2ms);
  watch.serving();
  watch.stopping(30s);
  heard();
  status_ = "another";
  io_.run_one();
  io_.run_one();
  EXPECT_EQ(heard(), Lines{"WATCHDOG=1"});
}

TEST_F(Watched, WithoutAManagerNothingHappens) {
  ServiceWatch watch(io_, {}, {[] { return true; }, [] { return std::string(); }});
  watch.serving();
  watch.stopping(1s);
  EXPECT_EQ(io_.run(), 0u);
}

}  // namespace
}  // namespace tonnage
