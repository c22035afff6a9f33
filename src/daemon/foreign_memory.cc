#include "daemon/foreign_memory.h"

#include <signal.h>

#include <cerrno>

namespace tonnage {

Bytes ForeignMemory::expected(Tick now, std::span<const DeviceProcess> foreign) {
  for (auto& [pid, seen] : seen_)
    seen.holds = Bytes(0);
  for (const DeviceProcess& process : foreign) {
    if (!process.bytes)
      continue;
    Seen& seen = seen_[process.pid];
    seen.holds = *process.bytes;
    if (seen.holds >= seen.most || now - seen.at > window_) {
      seen.most = seen.holds;
      seen.at = now;
    }
  }
  Bytes sum;
  for (auto it = seen_.begin(); it != seen_.end();) {
    const auto& [pid, seen] = *it;
    const bool gone = seen.holds == Bytes(0) && (now - seen.at > window_ || !lives_(pid));
    if (!gone)
      sum += seen.most - seen.holds;
    it = gone ? seen_.erase(it) : std::next(it);
  }
  return sum;
}

bool process_lives(std::int32_t pid) {
  return ::kill(pid, 0) == 0 || errno == EPERM;
}

}  // namespace tonnage
