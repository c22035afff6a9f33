#include "probe/cpu_budget.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "probe/proc_file.h"

namespace tonnage {
namespace {

constexpr std::int64_t kPermille = 1000;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
    text.remove_suffix(1);
  return text;
}

std::optional<std::int64_t> share(std::optional<std::int64_t> quota,
                                  std::optional<std::int64_t> period) {
  constexpr std::int64_t kMost = std::int64_t{1} << 50;
  if (!quota || !period || *quota <= 0 || *period <= 0 || *quota > kMost)
    return std::nullopt;
  return *quota * kPermille / *period;
}

std::optional<std::int64_t> quota_of(CgroupVersion version, const std::string& level) {
  if (version == CgroupVersion::v2) {
    const auto text = read_proc_file(level + "/cpu.max");
    return text ? parse_cpu_max(*text) : std::nullopt;
  }
  const auto quota = read_proc_file(level + "/cpu.cfs_quota_us");
  const auto period = read_proc_file(level + "/cpu.cfs_period_us");
  return quota && period ? cpu_quota(*quota, *period) : std::nullopt;
}

}  // namespace

std::optional<std::int32_t> CpuBudget::threads() const {
  std::int64_t threads = allowed;
  if (quota_permille)
    threads = std::min(threads, std::max<std::int64_t>(1, *quota_permille / kPermille));
  if (threads >= online)
    return std::nullopt;
  return static_cast<std::int32_t>(threads);
}

std::string CpuBudget::reason() const {
  if (!threads())
    return {};
  if (quota_permille && *quota_permille / kPermille < allowed) {
    char number[32];
    std::snprintf(number, sizeof(number), "%.2f", static_cast<double>(*quota_permille) / kPermille);
    return std::string(number) + " of " + std::to_string(online) + " processors by the quota of " +
           quota_path;
  }
  return std::to_string(allowed) + " of " + std::to_string(online) + " processors by affinity";
}

std::optional<std::int64_t> parse_cpu_max(std::string_view text) {
  text = trimmed(text);
  const auto quota = parse_count(next_word(text));
  return share(quota, parse_count(next_word(text)));
}

std::optional<std::int64_t> cpu_quota(std::string_view quota_us, std::string_view period_us) {
  return share(parse_count(trimmed(quota_us)), parse_count(trimmed(period_us)));
}

void read_cpu_quota(const std::string& root, CpuBudget& budget) {
  for (const auto version : {CgroupVersion::v1, CgroupVersion::v2}) {
    const auto path = find_cgroup(root, version, "cpu");
    if (!path || !*path)
      continue;
    for (const std::string& level : (*path)->levels) {
      const auto quota = quota_of(version, level);
      if (!quota || (budget.quota_permille && *budget.quota_permille <= *quota))
        continue;
      budget.quota_permille = quota;
      budget.quota_path = level;
    }
  }
}

CpuBudget cpu_budget(const std::string& root) {
  CpuBudget budget;
  budget.online = std::max(1, static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)));
  budget.allowed = budget.online;
  // Machines of more than CPU_SETSIZE processors need a larger set.
  for (int size = CPU_SETSIZE; size <= 64 * CPU_SETSIZE; size *= 2) {
    cpu_set_t* const set = CPU_ALLOC(static_cast<std::size_t>(size));
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(size));
    const bool told = ::sched_getaffinity(0, bytes, set) == 0;
    if (told)
      budget.allowed = std::clamp(CPU_COUNT_S(bytes, set), 1, budget.online);
    CPU_FREE(set);
    if (told)
      break;
  }
  read_cpu_quota(root, budget);
  return budget;
}

}  // namespace tonnage
