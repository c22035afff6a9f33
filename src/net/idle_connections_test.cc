// What thousands of idle connections cost.
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

#include "net/net_fixture.h"

namespace tonnage::net {
namespace {

std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

TEST_F(NetTest, IdleConnectionsAreCheapAndTheServerStillAnswers) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "needs a build without sanitizers, which add memory of their own";
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  GTEST_SKIP() << "needs a build without sanitizers, which add memory of their own";
#endif
#endif
  std::size_t wanted = 5000;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < 2 * wanted + 100)
    wanted = (files.rlim_cur - 100) / 2;
  ASSERT_GE(wanted, 400u) << "needs 1,000 file descriptors (ulimit -n)";

  serve([](std::shared_ptr<Exchange> x) { x->respond({.body = "ok"}); });
  std::vector<RawSocket> clients;
  clients.reserve(wanted);
  const auto open = [&](std::size_t count) {
    while (clients.size() < count) {
      clients.push_back(client_sending(kGet));
      settle();
    }
    return until([&] {
      return server->stats().requests == count && server->stats().connections_open == count;
    });
  };
  ASSERT_TRUE(open(100));  // everything that is needed once
  const std::int64_t before = resident_bytes();
  ASSERT_TRUE(open(wanted));
  const std::int64_t each = (resident_bytes() - before) / static_cast<std::int64_t>(wanted - 100);
  RecordProperty("bytes_per_idle_connection", std::to_string(each));
  std::printf("%zu idle connections, %ld bytes each\n", wanted, static_cast<long>(each));
  EXPECT_LT(each, 4096);
  ASSERT_TRUE(until([&] { return clients.back().has("ok"); }));
}

}  // namespace
}  // namespace tonnage::net
