#include "probe/host_probe.h"

#include <unistd.h>

#include <algorithm>

#include "probe/meminfo.h"
#include "probe/proc_file.h"

namespace tonnage {
namespace {

std::string_view version_text(CgroupVersion version) {
  return version == CgroupVersion::v1 ? "cgroup v1 " : "cgroup v2 ";
}

// Below /proc and /sys nothing changes its root, so a path without the fixture's is what people
// know.
std::string without_root(const std::string& path, const std::string& root) {
  std::string_view prefix = root;
  while (!prefix.empty() && prefix.back() == '/')
    prefix.remove_suffix(1);
  return path.starts_with(prefix) ? path.substr(prefix.size()) : path;
}

// Named wherever there is one: it explains why a machine that looks full is not.
std::string arc_text(const MemInfo& memory) {
  if (!memory.arc_size)
    return {};
  return ", ZFS ARC " + to_text(*memory.arc_size) + " of which " + to_text(memory.arc) +
         " can be reclaimed";
}

}  // namespace

HostProbe::HostProbe(std::string root) : root_(std::move(root)) {
  search();
}

void HostProbe::search() {
  cgroup_.reset();
  cgroup_problem_.clear();
  auto found = find_cgroup(root_);
  if (!found) {
    cgroup_problem_ = "cgroup unknown: " + found.error().text();
  } else if (!*found) {
    cgroup_problem_ = "no memory cgroup";
  } else {
    cgroup_ = std::move(**found);
  }
}

Result<HostSample> HostProbe::sample(Bytes ours) {
  const auto memory = read_meminfo(root_);
  if (!memory)
    return std::unexpected(memory.error());
  // A process can be moved to another cgroup, and its old one removed, while it runs.
  if (cgroup_ && ::access(cgroup_->levels.front().c_str(), F_OK) != 0)
    search();

  HostSample sample;
  sample.capacity = memory->total;
  sample.available = memory->available;
  sample.source = "machine " + to_text(memory->total);
  if (memory->available_estimated)
    sample.source += " (MemAvailable estimated)";
  sample.source += arc_text(*memory);
  std::vector<std::string> skipped;
  const CgroupLevel* tightest = nullptr;
  std::vector<CgroupLevel> levels;
  if (cgroup_)
    levels = read_levels(*cgroup_, skipped);
  for (const CgroupLevel& level : levels) {
    sample.available = std::min(sample.available, level.available());
    if (level.limit >= sample.capacity)
      continue;
    sample.capacity = level.limit;
    tightest = &level;
  }
  if (tightest != nullptr) {
    sample.source = std::string(version_text(cgroup_->version)) +
                    without_root(tightest->path, root_) + " " + to_text(tightest->limit) + " of " +
                    sample.source;
  } else if (cgroup_problem_.empty() && skipped.empty()) {
    sample.source += ", no cgroup limit below it";
  }
  if (!cgroup_problem_.empty())
    sample.source += ", " + cgroup_problem_;
  if (!memory->arc_problem.empty()) {
    skipped.push_back(memory->arc_problem);
  } else if (arc_seen_ && !memory->arc_size) {
    skipped.emplace_back("the ARC of ZFS, which is no longer reported");
  }
  arc_seen_ = arc_seen_ || memory->arc_size.has_value();
  for (const std::string& problem : skipped)
    sample.source += ", left out: " + problem;
  sample.left_out = std::move(skipped);
  sample.available = std::clamp(sample.available, 0_B, sample.capacity);
  sample.foreign = std::max(0_B, sample.capacity - sample.available - std::max(0_B, ours));
  return sample;
}

}  // namespace tonnage
