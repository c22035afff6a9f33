// ForeignMemory: what living programs of others held lately on a device, and may take again.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>

#include "base/bytes.h"
#include "base/tick.h"
#include "probe/gpu/device_source.h"

namespace tonnage {

// A game between two levels, a training job between two steps, or a tool that works in rounds gives
// memory back for a moment. Who took it meanwhile would make that program fail, so the most that a
// program held within the last `window` is kept for it for as long as it lives. A program that
// ended keeps nothing.
class ForeignMemory {
 public:
  // Whether a process is there; of a number that was given to another process meanwhile it says
  // yes.
  using Lives = std::function<bool(std::int32_t pid)>;

  explicit ForeignMemory(Lives lives, Duration window = 60s)
      : lives_(std::move(lives)), window_(window) {}

  // `now` never goes back; `foreign` are the processes on the device that are not ours. What they,
  // and those that are listed no more, held lately beyond what they hold now.
  Bytes expected(Tick now, std::span<const DeviceProcess> foreign);

 private:
  struct Seen {
    Bytes most;
    Tick at;  // it last held that much
    Bytes holds;
  };

  Lives lives_;
  Duration window_;
  std::map<std::int32_t, Seen> seen_;
};

// Asks the kernel.
bool process_lives(std::int32_t pid);

}  // namespace tonnage
