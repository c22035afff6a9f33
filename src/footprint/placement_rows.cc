#include "footprint/placement_rows.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "footprint/device_footprint.h"
#include "footprint/host_footprint.h"

namespace tonnage {
namespace {

// The layers of the founding table.
constexpr std::array<std::int32_t, 4> kLayerSteps = {32, 20, 12, 4};
// What a driver's library keeps in the host for a program that uses a device, beside the engine's
// own. A guess that measurements raise.
constexpr Bytes kDriverInHost = 128_MiB;

ProfiledPlacement placed(const ServerSettings& settings, std::int32_t gpu_layers,
                         std::size_t devices) {
  ProfiledPlacement placement{.settings = settings, .devices = devices, .dry_run = {}};
  placement.settings.placement.gpu_layers = gpu_layers;
  return placement;
}

bool partial(const ProfiledPlacement& placement, const GgufInfo& model) {
  return placement.devices == 1 && placement.settings.placement.gpu_layers < offload_layers(model);
}

// The same but for the number of layers.
bool neighbours(const ProfiledPlacement& a, const ProfiledPlacement& b) {
  Placement other = b.settings.placement;
  other.gpu_layers = a.settings.placement.gpu_layers;
  return a.devices == b.devices && a.settings.placement == other;
}

// `at` of the way from a to b, in layers; rounded up.
Bytes between(Bytes a, Bytes b, std::int64_t at, std::int64_t whole) {
  const std::int64_t low = a.count / kMiB;
  const std::int64_t high = b.count / kMiB;
  const std::int64_t step = (high - low) * at;
  return Bytes((low + (step + (step > 0 ? whole - 1 : 0)) / whole) * kMiB);
}

DryRun interpolate(const GgufInfo& model, const ProfiledPlacement& low,
                   const ProfiledPlacement& high, std::int32_t gpu_layers) {
  const DryRun& a = *low.dry_run;
  const DryRun& b = *high.dry_run;
  const std::int64_t at = gpu_layers - low.settings.placement.gpu_layers;
  const std::int64_t whole = high.settings.placement.gpu_layers - low.settings.placement.gpu_layers;
  const auto row = [&](const DryRunRow& x, const DryRunRow& y) {
    return DryRunRow{x.device, between(x.weights, y.weights, at, whole),
                     between(x.context, y.context, at, whole), std::max(x.compute, y.compute)};
  };
  DryRun run{.devices = {row(a.devices.front(), b.devices.front())}, .host = row(a.host, b.host)};
  // Layers differ in size; the file knows by how much.
  const Bytes more =
      device_weights(model, gpu_layers) - device_weights(model, low.settings.placement.gpu_layers);
  Bytes& weights = run.devices.front().weights;
  weights = std::max(weights, a.devices.front().weights + more);
  return run;
}

// A draft computes one row per slot, and its cache is f16 unless its dry run says something else.
ServerSettings draft_settings(const ServerSettings& settings) {
  ServerSettings own = settings;
  own.outputs_per_slot = 1;
  own.cache_ram = own.checkpoints = Bytes(0);
  own.placement.kv = KvType::f16;
  return own;
}

// In the host, beside the draft's mapped file.
Bytes draft_in_host(const GgufInfo& draft, const ProfiledPlacement& profiled) {
  const ServerSettings settings = draft_settings(profiled.settings);
  const auto& run = profiled.draft_dry_run;
  if (!run)
    return permille_of(draft.file_size, 200) + key_value_cache(draft, settings) +
           companion_overhead(draft, settings);
  return repacked_weights(draft, *run) + run->host.context + kDryRunRounding +
         host_compute(draft, run->host, settings) + companion_overhead(draft, settings);
}

void add_companions(PlacementRow& row, const GgufInfo& model, const Companions& companions,
                    const ProfiledPlacement& profiled) {
  row.host_anon += companions.projectors + companions.adapters;
  if (!companions.draft)
    return;
  const GgufInfo& draft = *companions.draft;
  if (draft.file != model.file)
    row.weights[1] = {draft.file, draft.file_size};
  row.host_anon += draft_in_host(draft, profiled);
  if (!profiled.draft_dry_run)
    row.source = FootprintSource::analytic;
}

// All layers of the draft are on the devices of its model.
void add_companions(PlacementRow& row, const Companions& companions,
                    const ProfiledPlacement& profiled, const DeviceSpace& space) {
  const auto count = static_cast<std::int64_t>(row.device_bytes.size());
  row.device_bytes.front() += companions.projectors;
  for (Bytes& bytes : row.device_bytes)
    bytes += Bytes((companions.adapters.count + count - 1) / count);
  if (!companions.draft)
    return;
  const GgufInfo& draft = *companions.draft;
  ServerSettings settings = draft_settings(profiled.settings);
  settings.placement.gpu_layers = offload_layers(draft);
  const auto& run = profiled.draft_dry_run;
  if (run && run->devices.size() == row.device_bytes.size()) {
    for (std::size_t i = 0; i < row.device_bytes.size(); ++i) {
      const DryRunRow& device = run->devices[i];
      row.device_bytes[i] +=
          device.weights + device.context + device.compute + Bytes(3 * kDryRunRounding.count);
    }
    row.host_anon += draft_in_host(draft, profiled) + run->host.weights + kDryRunRounding;
    return;
  }
  const auto shares = std::span(space.capacities).first(profiled.devices);
  const std::vector<Bytes> bytes = device_bytes_analytic(draft, settings, shares);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    row.device_bytes[i] += bytes[i];
  row.host_anon += host_bytes_analytic(draft, settings);
  row.source = FootprintSource::analytic;
}

PlacementRow host_row(const GgufInfo& model, const ProfiledPlacement& profiled,
                      const Companions& companions) {
  PlacementRow row;
  row.weights[0] = {model.file, model.file_size};
  if (profiled.dry_run) {
    row.source = FootprintSource::dry_run;
    row.host_anon = host_anon(model, *profiled.dry_run, profiled.settings);
  } else {
    row.host_anon = host_anon_analytic(model, profiled.settings);
  }
  add_companions(row, model, companions, profiled);
  return row;
}

PlacementRow device_row(const GgufInfo& model, const ProfiledPlacement& profiled,
                        const DeviceSpace& space, const Companions& companions) {
  PlacementRow row;
  if (profiled.dry_run && profiled.dry_run->devices.size() == profiled.devices) {
    const DryRun& run = *profiled.dry_run;
    row.source = FootprintSource::dry_run;
    row.host_anon = host_anon(model, run, profiled.settings) + run.host.weights + kDryRunRounding +
                    kDriverInHost;
    for (const DryRunRow& device : run.devices) {
      // Each of the three numbers was rounded down by itself.
      row.device_bytes.push_back(device.weights + device.context + device.compute +
                                 Bytes(3 * kDryRunRounding.count) + space.context);
    }
    add_companions(row, companions, profiled, space);
    return row;
  }
  row.host_anon = host_bytes_analytic(model, profiled.settings) + kDriverInHost;
  const auto shares = std::span(space.capacities).first(profiled.devices);
  row.device_bytes = device_bytes_analytic(model, profiled.settings, shares);
  for (Bytes& bytes : row.device_bytes)
    bytes += space.context;
  add_companions(row, companions, profiled, space);
  return row;
}

}  // namespace

std::vector<ProfiledPlacement> placements_of(const GgufInfo& model, const ServerSettings& settings,
                                             const DeviceSpace& space,
                                             std::optional<std::int32_t> gpu_layers) {
  const std::size_t devices = space.capacities.size();
  const std::int32_t all = offload_layers(model);
  std::vector<ProfiledPlacement> placements;
  if (devices == 0 || gpu_layers == 0)
    return {placed(settings, 0, 0)};
  const std::int32_t most = std::clamp(gpu_layers.value_or(all), 0, all);
  for (std::size_t count = 1; count <= devices; ++count)
    placements.push_back(placed(settings, most, count));
  if (gpu_layers)
    return placements;
  for (const std::int32_t layers : kLayerSteps) {
    if (layers < all - 1)
      placements.push_back(placed(settings, layers, 1));
  }
  const std::size_t first = devices;
  for (std::size_t i = first + 1; i + 1 < placements.size(); ++i)
    placements[i].derived = true;
  placements.push_back(placed(settings, 0, 0));
  return placements;
}

void derive_dry_runs(const GgufInfo& model, std::span<ProfiledPlacement> placements) {
  for (ProfiledPlacement& derived : placements) {
    if (!derived.derived)
      continue;
    const ProfiledPlacement* low = nullptr;
    const ProfiledPlacement* high = nullptr;
    for (const ProfiledPlacement& other : placements) {
      if (other.derived || !other.dry_run || other.dry_run->devices.size() != 1 ||
          !partial(other, model) || !neighbours(derived, other))
        continue;
      const bool less = other.settings.placement.gpu_layers < derived.settings.placement.gpu_layers;
      (less ? low : high) = &other;
    }
    if (low == nullptr || high == nullptr)
      continue;
    derived.dry_run = interpolate(model, *low, *high, derived.settings.placement.gpu_layers);
    derived.draft_dry_run = low->draft_dry_run;  // all of it is there however many layers are
  }
}

std::vector<PlacementRow> profile_rows(const GgufInfo& model,
                                       std::span<const ProfiledPlacement> placements,
                                       const DeviceSpace& space, const Companions& companions) {
  TONNAGE_CHECK(!placements.empty() && placements.size() <= kPlacementRowsMax,
                "one event brings a bounded ladder");
  const auto speed = [&model](const ProfiledPlacement& profiled) {
    const Placement& placement = profiled.settings.placement;
    return std::int64_t{speed_permille(model, placement.gpu_layers, profiled.devices)} *
           std::max(1, placement.slots);
  };
  const std::int64_t best = std::max<std::int64_t>(1, speed(placements.front()));
  std::vector<PlacementRow> rows;
  for (const ProfiledPlacement& profiled : placements) {
    PlacementRow row = profiled.devices == 0 ? host_row(model, profiled, companions)
                                             : device_row(model, profiled, space, companions);
    row.placement = profiled.settings.placement;
    row.speed_permille = static_cast<std::int32_t>(1000 * speed(profiled) / best);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace tonnage
