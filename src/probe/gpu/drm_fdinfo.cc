#include "probe/gpu/drm_fdinfo.h"

#include <array>
#include <limits>
#include <utility>

#include "base/text.h"
#include "probe/proc_file.h"

namespace tonnage {
namespace {

// Best first.
constexpr std::array kKeys = {std::string_view("drm-resident-"), std::string_view("drm-memory-"),
                              std::string_view("drm-total-")};

std::optional<Bytes> parse_amount(std::string_view text) {
  const auto count = parse_count(next_word(text));
  const std::string_view unit = trim(text, kProcBlanks);
  std::int64_t scale = 0;
  if (unit.empty())
    scale = 1;
  else if (unit == "KiB" || unit == "kB")
    scale = kKiB;
  else if (unit == "MiB")
    scale = kMiB;
  if (!count || *count < 0 || scale == 0 ||
      *count > std::numeric_limits<std::int64_t>::max() / scale)
    return std::nullopt;
  return Bytes(*count * scale);
}

}  // namespace

Bytes DrmClient::device_bytes() const {
  Bytes sum;
  for (const auto& [region, bytes] : regions) {
    // amdgpu says "vram", xe "vram0", i915 "local0"; "gtt", "system" and "stolen" are the host's.
    if (!region.starts_with("vram") && !region.starts_with("local"))
      continue;
    // Two regions are real, their sum may still be nonsense.
    if (bytes.count > std::numeric_limits<std::int64_t>::max() - sum.count)
      return Bytes(std::numeric_limits<std::int64_t>::max());
    sum += bytes;
  }
  return sum;
}

std::optional<DrmClient> parse_drm_fdinfo(std::string_view text) {
  DrmClient client;
  bool has_client = false;
  std::map<std::string, std::pair<std::size_t, Bytes>, std::less<>> found;  // with the key's rank
  std::string_view line;
  while (next_line(text, line)) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos)
      continue;
    const std::string_view key = line.substr(0, colon);
    const std::string_view value = trim(line.substr(colon + 1), kProcBlanks);
    if (key == "drm-driver")
      client.driver = value;
    if (key == "drm-pdev")
      client.pci = value;
    if (const auto id = parse_count(value); key == "drm-client-id" && id) {
      client.client = *id;
      has_client = true;
    }
    for (std::size_t rank = 0; rank < kKeys.size(); ++rank) {
      const auto amount = key.starts_with(kKeys[rank]) ? parse_amount(value) : std::nullopt;
      if (!amount)
        continue;
      const std::string region(key.substr(kKeys[rank].size()));
      const auto [entry, is_new] = found.try_emplace(region, rank, *amount);
      if (!is_new && rank < entry->second.first)
        entry->second = {rank, *amount};
    }
  }
  if (client.driver.empty() || !has_client)
    return std::nullopt;
  for (const auto& [region, amount] : found)
    client.regions.emplace(region, amount.second);
  return client;
}

}  // namespace tonnage
