// Slots: how many requests a server works on at once, and which slot each one has.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <vector>

#include "llama/http.h"

namespace fake_gpu {

class Slots {
 public:
  explicit Slots(std::size_t count) : busy_(count, false) {}

  // A free one, waited for; empty when the client left before there was any.
  std::optional<std::size_t> take(HttpReply& client);
  void give_back(std::size_t slot);
  std::vector<bool> busy() const;
  // Returns when none is busy.
  void wait_until_idle();

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<bool> busy_;
};

}  // namespace fake_gpu
