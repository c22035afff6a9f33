#include "probe/gpu/kfd.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <map>
#include <system_error>
#include <utility>

#include "probe/proc_file.h"

namespace tonnage {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kVram = "vram_";
constexpr Bytes kMost{std::numeric_limits<std::int64_t>::max()};

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    entries.push_back(it->path());
  return entries;
}

// A GPU's number in file names to its PCI address. Processors are nodes as well, numbered 0.
std::map<std::int64_t, std::string> read_nodes(const std::string& root) {
  std::map<std::int64_t, std::string> places;
  for (const fs::path& node : entries_of(under_root(root, "/sys/class/kfd/kfd/topology/nodes"))) {
    const auto number = read_proc_file((node / "gpu_id").string());
    const auto id = number ? parse_count(*number) : std::nullopt;
    if (!id || *id <= 0)
      continue;
    const auto properties = read_proc_file((node / "properties").string());
    if (auto place = properties ? parse_kfd_place(*properties) : std::nullopt)
      places.emplace(*id, std::move(*place));
  }
  return places;
}

}  // namespace

std::optional<std::string> parse_kfd_place(std::string_view properties) {
  std::optional<std::int64_t> location;
  std::int64_t domain = 0;  // kernels before 5.10 do not say
  std::string_view line;
  while (next_line(properties, line)) {
    const std::string_view name = next_word(line);
    if (name == "location_id")
      location = parse_count(line);
    else if (name == "domain")
      domain = parse_count(line).value_or(-1);
  }
  if (!location || *location <= 0 || domain < 0 || domain > 0xffff'ffff)
    return std::nullopt;
  const auto bits = static_cast<unsigned>(*location & 0xffff);
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%04llx:%02x:%02x.%x",
                static_cast<unsigned long long>(domain), bits >> 8U, (bits >> 3U) & 0x1fU,
                bits & 7U);
  return text.data();
}

std::vector<KfdHolding> read_kfd(const std::string& root) {
  const auto places = read_nodes(root);
  if (places.empty())
    return {};
  std::map<std::pair<std::string, std::int32_t>, Bytes> sums;
  for (const fs::path& process : entries_of(under_root(root, "/sys/class/kfd/kfd/proc"))) {
    const auto pid = parse_count(process.filename().string());
    if (!pid || *pid <= 0 || *pid > std::numeric_limits<std::int32_t>::max())
      continue;
    for (const fs::path& file : entries_of(process)) {
      const std::string name = file.filename().string();
      if (!name.starts_with(kVram))
        continue;
      const auto gpu = parse_count(name.substr(kVram.size()));
      const auto place = gpu ? places.find(*gpu) : places.end();
      const auto text = read_proc_file(file.string());
      const auto bytes = text ? parse_count(*text) : std::nullopt;
      if (place == places.end() || !bytes || *bytes < 0)
        continue;
      Bytes& sum = sums[{place->second, static_cast<std::int32_t>(*pid)}];
      sum += std::min(Bytes(*bytes), kMost - sum);
    }
  }
  std::vector<KfdHolding> holdings;
  for (const auto& [key, bytes] : sums)
    holdings.push_back({key.first, key.second, bytes});
  return holdings;
}

}  // namespace tonnage
