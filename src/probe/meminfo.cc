#include "probe/meminfo.h"

#include <algorithm>
#include <optional>

#include "probe/arc.h"
#include "probe/proc_file.h"

namespace tonnage {

Result<MemInfo> parse_meminfo(std::string_view text) {
  std::optional<Bytes> total, available, swap_total, swap_free, free, buffers, cached, shmem;
  struct Row {
    std::string_view name;
    std::optional<Bytes>* value;
  };
  const Row rows[] = {
      {"MemTotal", &total},       {"MemAvailable", &available},
      {"SwapTotal", &swap_total}, {"SwapFree", &swap_free},
      {"MemFree", &free},         {"Buffers", &buffers},
      {"Cached", &cached},        {"Shmem", &shmem},
  };
  std::string_view line;
  while (next_line(text, line)) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos)
      continue;
    for (const Row& row : rows) {
      if (line.substr(0, colon) == row.name)
        *row.value = parse_kib(line.substr(colon + 1));
    }
  }
  if (!total || total->count <= 0) {
    return fail("cannot use", "/proc/meminfo", "it has no usable MemTotal line");
  }
  MemInfo info;
  info.total = *total;
  info.swap_total = swap_total.value_or(0_B);
  info.swap_free = swap_free.value_or(0_B);
  if (available) {
    info.available = *available;
  } else if (free && cached) {
    // Before MemAvailable existed. Shared memory is counted as cached, but cannot be dropped.
    info.available = *free + buffers.value_or(0_B) + *cached - shmem.value_or(0_B);
    info.available_estimated = true;
  } else {
    return fail("cannot use", "/proc/meminfo",
                "it has neither MemAvailable nor MemFree and Cached");
  }
  info.available = std::clamp(info.available, 0_B, info.total);
  return info;
}

Result<MemInfo> read_meminfo(const std::string& root) {
  const auto text = read_proc_file(under_root(root, "/proc/meminfo"));
  if (!text)
    return std::unexpected(text.error());
  auto info = parse_meminfo(*text);
  if (!info)
    return info;
  const auto arc = read_arcstats(root);
  if (!arc) {
    info->arc_problem = arc.error().text();
  } else if (*arc) {
    info->arc_size = std::min((*arc)->size, info->total);
    info->arc = std::min((*arc)->reclaimable(), info->total - info->available);
    info->available += info->arc;
  }
  return info;
}

}  // namespace tonnage
