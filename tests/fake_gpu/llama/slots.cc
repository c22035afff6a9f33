#include "llama/slots.h"

#include <algorithm>
#include <chrono>

namespace fake_gpu {
namespace {

// Between two looks whether the client is still there.
constexpr std::chrono::milliseconds kLook{20};

}  // namespace

std::optional<std::size_t> Slots::take(HttpReply& client) {
  std::unique_lock lock(mutex_);
  while (true) {
    const auto free = std::ranges::find(busy_, false);
    if (free != busy_.end()) {
      *free = true;
      return static_cast<std::size_t>(free - busy_.begin());
    }
    changed_.wait_for(lock, kLook);
    lock.unlock();
    if (!client.wait_ms(0))
      return std::nullopt;
    lock.lock();
  }
}

void Slots::give_back(std::size_t slot) {
  const std::lock_guard lock(mutex_);
  busy_[slot] = false;
  changed_.notify_all();
}

std::vector<bool> Slots::busy() const {
  const std::lock_guard lock(mutex_);
  return busy_;
}

void Slots::wait_until_idle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return std::ranges::find(busy_, true) == busy_.end(); });
}

}  // namespace fake_gpu
