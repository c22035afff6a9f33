#include "probe/cgroup.h"

#include <unistd.h>

#include <algorithm>
#include <limits>

#include "probe/proc_file.h"

namespace tonnage {
namespace {

// Version 1 says "no limit" as LONG_MAX rounded down to whole pages; pages are 4 to 64 KiB. No
// machine has that much memory, so anything close to it means none.
constexpr std::int64_t kNoLimitFrom = std::numeric_limits<std::int64_t>::max() - 64 * kKiB;

bool has_controller(std::string_view list, std::string_view controller) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    if (list.substr(0, comma) == controller)
      return true;
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  }
  return false;
}

// mountinfo writes space, tab, newline and backslash as three octal digits.
std::string unescape(std::string_view text) {
  const auto octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && octal(text[i + 1]) && octal(text[i + 2]) &&
        octal(text[i + 3])) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                               (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool leaves_root(std::string_view path) {
  return path == "/.." || path.starts_with("/../") || path.find("/../") != std::string_view::npos ||
         path.ends_with("/..");
}

// The part of a cgroup's path below the mounted root. In a container the mount often shows only
// the container's own subtree, or the path names a place outside of it; the mount point is then
// the closest that can be seen.
std::string below_mount(const std::string& path, const std::string& mount_root) {
  if (path.empty() || path.front() != '/' || leaves_root(path))
    return "/";
  if (mount_root == "/" || mount_root.empty())
    return path;
  if (path == mount_root)
    return "/";
  if (path.starts_with(mount_root + "/"))
    return path.substr(mount_root.size());
  return "/";
}

CgroupPath levels_between(CgroupVersion version, const std::string& point, std::string relative) {
  CgroupPath path{version, {}};
  while (!relative.empty() && relative.back() == '/')
    relative.pop_back();
  while (!relative.empty()) {
    path.levels.push_back(point + relative);
    relative.resize(relative.rfind('/'));
    while (!relative.empty() && relative.back() == '/')
      relative.pop_back();
  }
  path.levels.push_back(point);
  return path;
}

}  // namespace

Bytes CgroupLevel::available() const {
  return std::max(0_B, limit - std::max(0_B, used - reclaimable));
}

std::vector<CgroupEntry> parse_proc_cgroup(std::string_view text) {
  std::vector<CgroupEntry> entries;
  std::string_view line;
  while (next_line(text, line)) {  // "4:memory:/user.slice", "0::/init.scope"
    const std::size_t first = line.find(':');
    if (first == std::string_view::npos)
      continue;
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos)
      continue;
    entries.push_back({std::string(line.substr(first + 1, second - first - 1)),
                       std::string(line.substr(second + 1))});
  }
  return entries;
}

std::vector<CgroupMount> parse_cgroup_mounts(std::string_view mountinfo,
                                             std::string_view controller) {
  std::vector<CgroupMount> mounts;
  std::string_view line;
  while (next_line(mountinfo, line)) {
    // 36 35 0:30 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory
    next_word(line);
    next_word(line);
    next_word(line);
    const std::string_view root = next_word(line);
    const std::string_view point = next_word(line);
    std::string_view word = next_word(line);
    while (!word.empty() && word != "-")
      word = next_word(line);
    const std::string_view type = next_word(line);
    next_word(line);
    const std::string_view options = next_word(line);
    if (point.empty())
      continue;
    if (type == "cgroup2") {
      mounts.push_back({CgroupVersion::v2, unescape(root), unescape(point)});
    } else if (type == "cgroup" && has_controller(options, controller)) {
      mounts.push_back({CgroupVersion::v1, unescape(root), unescape(point)});
    }
  }
  return mounts;
}

Result<std::optional<Bytes>> parse_limit(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
    text.remove_suffix(1);
  if (text == "max")
    return std::nullopt;
  const auto count = parse_count(text);
  if (!count || *count < -1) {
    return fail("not a memory limit", "'" + std::string(text.substr(0, 40)) + "'",
                "it is neither a number of bytes nor 'max'");
  }
  if (*count == -1 || *count >= kNoLimitFrom)
    return std::nullopt;
  return Bytes(*count);
}

Bytes parse_reclaimable(CgroupVersion version, std::string_view memory_stat) {
  const bool v1 = version == CgroupVersion::v1;
  const std::string_view inactive = v1 ? "total_inactive_file" : "inactive_file";
  const std::string_view active = v1 ? "total_active_file" : "active_file";
  std::int64_t sum = 0;
  std::string_view line;
  while (next_line(memory_stat, line)) {
    const std::string_view name = next_word(line);
    if (name != inactive && name != active && (v1 || name != "slab_reclaimable"))
      continue;
    const std::int64_t count = std::max<std::int64_t>(0, parse_count(line).value_or(0));
    if (__builtin_add_overflow(sum, count, &sum))
      return 0_B;  // nonsense reclaims nothing
  }
  return Bytes(sum);
}

Result<std::optional<CgroupPath>> find_cgroup(const std::string& root, CgroupVersion version,
                                              std::string_view controller) {
  const auto cgroup_text = read_proc_file(under_root(root, "/proc/self/cgroup"));
  if (!cgroup_text)
    return std::unexpected(cgroup_text.error());
  const auto mount_text = read_proc_file(under_root(root, "/proc/self/mountinfo"));
  if (!mount_text)
    return std::unexpected(mount_text.error());
  const std::vector<CgroupEntry> entries = parse_proc_cgroup(*cgroup_text);
  const std::vector<CgroupMount> mounts = parse_cgroup_mounts(*mount_text, controller);
  const auto entry = std::ranges::find_if(entries, [&](const CgroupEntry& e) {
    return version == CgroupVersion::v1 ? has_controller(e.controllers, controller)
                                        : e.controllers.empty();
  });
  const auto mount = std::ranges::find(mounts, version, &CgroupMount::version);
  if (entry == entries.end() || mount == mounts.end())
    return std::nullopt;
  return levels_between(version, under_root(root, mount->point),
                        below_mount(entry->path, mount->root));
}

Result<std::optional<CgroupPath>> find_cgroup(const std::string& root) {
  auto first = find_cgroup(root, CgroupVersion::v1);
  return !first || *first ? first : find_cgroup(root, CgroupVersion::v2);
}

namespace {

struct LevelFiles {
  std::vector<std::string_view> limits;
  std::string_view usage;
};

// Empty: this level has no limit. An error: its files cannot be used.
Result<std::optional<CgroupLevel>> read_level(CgroupVersion version, const std::string& path) {
  const LevelFiles files = version == CgroupVersion::v1
                               ? LevelFiles{{"/memory.limit_in_bytes"}, "/memory.usage_in_bytes"}
                               : LevelFiles{{"/memory.max", "/memory.high"}, "/memory.current"};
  std::optional<Bytes> limit;
  for (const std::string_view name : files.limits) {
    const std::string file = path + std::string(name);
    const auto text = read_proc_file(file);
    // The root of version 2 has no limit files, nor has a level without the memory controller.
    if (!text && ::access(path.c_str(), R_OK | X_OK) == 0 && ::access(file.c_str(), F_OK) != 0) {
      continue;
    }
    if (!text)
      return std::unexpected(text.error());
    const auto bytes = parse_limit(*text);
    if (!bytes)
      return fail("cannot use", file, bytes.error().text());
    if (*bytes && (!limit || **bytes < *limit))
      limit = **bytes;
  }
  if (!limit)
    return std::nullopt;
  const std::string usage_file = path + std::string(files.usage);
  const auto usage_text = read_proc_file(usage_file);
  if (!usage_text)
    return std::unexpected(usage_text.error());
  const auto used = parse_count(*usage_text);
  if (!used || *used < 0)
    return fail("not a byte count in", usage_file);
  // Without memory.stat nothing is known to be reclaimable, which errs on the safe side.
  const auto stat = read_proc_file(path + "/memory.stat");
  const Bytes reclaimable = stat ? parse_reclaimable(version, *stat) : 0_B;
  return CgroupLevel{path, *limit, Bytes(*used), std::min(reclaimable, Bytes(*used))};
}

}  // namespace

std::vector<CgroupLevel> read_levels(const CgroupPath& path, std::vector<std::string>& skipped) {
  std::vector<CgroupLevel> levels;
  for (const std::string& place : path.levels) {
    auto level = read_level(path.version, place);
    if (!level) {
      skipped.push_back(level.error().text());
    } else if (*level) {
      levels.push_back(std::move(**level));
    }
  }
  return levels;
}

}  // namespace tonnage
