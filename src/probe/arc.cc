#include "probe/arc.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "probe/proc_file.h"

namespace tonnage {
namespace {

constexpr const char* kArcFile = "/proc/spl/kstat/zfs/arcstats";

}  // namespace

Bytes ArcStats::reclaimable() const {
  return std::max(0_B, size - c_min);
}

Result<ArcStats> parse_arcstats(std::string_view text) {
  std::optional<Bytes> size, c_min;
  const std::array<std::pair<std::string_view, std::optional<Bytes>*>, 2> rows = {
      {{"size", &size}, {"c_min", &c_min}}};
  std::string_view line;
  while (next_line(text, line)) {
    const std::string_view name = next_word(line);
    for (const auto& [wanted, value] : rows) {
      if (name != wanted)
        continue;
      next_word(line);  // the type of the value
      const auto count = parse_count(line);
      if (!count || *count < 0 || *value)
        return fail("cannot use", kArcFile, "its line '" + std::string(wanted) + "' is not usable");
      *value = Bytes(*count);
    }
  }
  if (!size || !c_min)
    return fail("cannot use", kArcFile,
                "it has no line '" + std::string(size ? "c_min" : "size") + "'");
  return ArcStats{*size, *c_min};
}

Result<std::optional<ArcStats>> read_arcstats(const std::string& root) {
  const std::string path = under_root(root, kArcFile);
  const auto text = read_proc_file(path);
  if (!text) {
    // Only a file that is there and cannot be read is worth a word.
    if (::access(path.c_str(), F_OK) != 0)
      return std::optional<ArcStats>{};
    return std::unexpected(text.error());
  }
  const auto stats = parse_arcstats(*text);
  if (!stats)
    return std::unexpected(stats.error());
  return std::optional<ArcStats>(*stats);
}

}  // namespace tonnage
