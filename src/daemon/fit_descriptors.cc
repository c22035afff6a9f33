#include "daemon/fit_descriptors.h"

#include <algorithm>
#include <cstdint>

#include <spdlog/spdlog.h>

#include "base/descriptors.h"

namespace tonnage {
namespace {

// Descriptors of the daemon beside connections: its own files and sockets, and for each server a
// pipe, its pidfd twice, a probe and looks at its slots.
constexpr std::uint64_t kOwnDescriptors = 64;
constexpr std::uint64_t kDescriptorsPerModel = 6;
// Kept back for probes, starts and requests under way; an eighth of what there is at most.
constexpr std::uint64_t kDescriptorReserve = 64;

}  // namespace

void fit_descriptors(net::Limits& limits, std::size_t models) {
  const std::uint64_t needed = limits.file_descriptors_needed();
  const std::uint64_t limit = raise_descriptor_limit(needed);
  const std::uint64_t reserve = std::min(kDescriptorReserve, limit / 8);
  DescriptorReserve::hold(reserve);
  limits.descriptor_reserve_from = limit - reserve;
  if (limit >= needed)
    return;
  const std::uint64_t own = kOwnDescriptors + kDescriptorsPerModel * models + 2 * reserve;
  const std::uint64_t fit = limit > own ? (limit - own) / 2 : 1;
  const auto connections = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(limits.connections_max, std::max<std::uint64_t>(fit, 8)));
  if (connections == limits.connections_max)
    return;
  spdlog::warn(
      "{} connections at once instead of limits.connections_max ({}): only {} files may "
      "be open (raise the hard limit, ulimit -Hn or LimitNOFILE=)",
      connections, limits.connections_max, limit);
  limits.connections_max = connections;
}

}  // namespace tonnage
