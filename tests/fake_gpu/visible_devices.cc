#include "visible_devices.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

namespace fake_gpu {
namespace {

std::vector<std::size_t> ordered(const DeviceSet& set, bool by_address) {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < std::min<std::size_t>(set.device_count, kDevicesMax); ++i) {
    // A card with MIG on is its instances.
    if (set.devices[i].mig_mode == 0)
      indices.push_back(i);
  }
  std::ranges::stable_sort(indices, [&](std::size_t a, std::size_t b) {
    if (by_address)
      return std::string_view(set.devices[a].pci) < std::string_view(set.devices[b].pci);
    return set.devices[a].total > set.devices[b].total;
  });
  return indices;
}

std::optional<std::size_t> named(const DeviceSet& set, const std::vector<std::size_t>& all,
                                 std::string_view word) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error == std::errc() && end == word.data() + word.size())
    return number < all.size() ? std::optional(all[number]) : std::nullopt;
  if (!word.starts_with("GPU-") && !word.starts_with("MIG-"))
    return std::nullopt;
  for (const std::size_t index : all) {
    if (std::string_view(set.devices[index].uuid).starts_with(word))
      return index;
  }
  return std::nullopt;
}

// CUDA enumerates one MIG instance, whatever else there is.
std::vector<std::size_t> at_most_one_instance(const DeviceSet& set,
                                              std::vector<std::size_t> chosen) {
  const auto instance = std::ranges::find_if(
      chosen, [&](std::size_t index) { return set.devices[index].mig_parent >= 0; });
  return instance == chosen.end() ? chosen : std::vector{*instance};
}

std::vector<std::size_t> chosen_devices(const DeviceSet& set, const char* order,
                                        const char* visible) {
  const auto all = ordered(set, order != nullptr && std::string_view(order) == "PCI_BUS_ID");
  if (visible == nullptr)
    return all;
  std::vector<std::size_t> chosen;
  std::string_view rest = visible;
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const auto index = named(set, all, rest.substr(0, comma));
    // A second mention of a device is an error, and hides all of them.
    if (index && std::ranges::find(chosen, *index) != chosen.end())
      return {};
    if (!index)
      break;
    chosen.push_back(*index);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return chosen;
}

}  // namespace

std::vector<std::size_t> visible_devices(const DeviceSet& set, const char* order,
                                         const char* visible) {
  return at_most_one_instance(set, chosen_devices(set, order, visible));
}

std::vector<std::size_t> visible_devices(const DeviceSet& set) {
  return visible_devices(set, std::getenv("CUDA_DEVICE_ORDER"),
                         std::getenv("CUDA_VISIBLE_DEVICES"));
}

}  // namespace fake_gpu
