#include "base/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <vector>

namespace tonnage {
namespace {

struct Held {
  std::mutex lock;
  std::vector<int> descriptors;
  std::size_t wanted = 0;
};

Held& held() {
  static Held one;
  return one;
}

void fill(Held& reserve) {
  while (reserve.descriptors.size() < reserve.wanted) {
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
      return;
    reserve.descriptors.push_back(fd);
  }
}

}  // namespace

bool is_own_shortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

bool lacks_descriptors() {
  return errno == EMFILE || errno == ENFILE;
}

std::uint64_t raise_descriptor_limit(std::uint64_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return wanted;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = std::min<rlim_t>(std::max<rlim_t>(wanted, before), limit.rlim_max);
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
}

void DescriptorReserve::hold(std::size_t count) {
  Held& reserve = held();
  const std::lock_guard guard(reserve.lock);
  reserve.wanted = count;
  while (reserve.descriptors.size() > count) {
    ::close(reserve.descriptors.back());
    reserve.descriptors.pop_back();
  }
  fill(reserve);
}

bool DescriptorReserve::give() {
  Held& reserve = held();
  const std::lock_guard guard(reserve.lock);
  if (reserve.descriptors.empty())
    return false;
  // Those with the lowest numbers are of use even where the limit was lowered meanwhile.
  ::close(reserve.descriptors.front());
  reserve.descriptors.erase(reserve.descriptors.begin());
  return true;
}

void DescriptorReserve::refill() {
  Held& reserve = held();
  const std::lock_guard guard(reserve.lock);
  fill(reserve);
}

}  // namespace tonnage
