// What a seed decides about devices and pressure, on top of everything else: drawn from a stream of
// its own, so that machines without devices stay what they were.
#include <algorithm>

#include "base/prng.h"
#include "sim/knobs.h"

namespace tonnage::sim {
namespace {

Bytes draw(Prng& prng, Bytes low, Bytes high) {
  return Bytes(prng.between(low.count, high.count));
}

void draw_pool(Prng& prng, Knobs& knobs, std::size_t index) {
  DeviceTruth device;
  device.capacity = draw(prng, 2_GiB, 24_GiB);
  device.foreign = prng.chance(500) ? Bytes(0) : permille_of(device.capacity, prng.between(0, 200));
  PoolPolicy pool;
  pool.name = "gpu" + std::to_string(index);
  switch (prng.below(4)) {
    case 0:
      pool.limit = permille_of(device.capacity, prng.between(500, 1000));
      break;
    case 1:
      break;
    default:
      pool.reserve.permille = 100;
      pool.reserve.size = 1_GiB;
  }
  knobs.devices.push_back(device);
  knobs.policy.pools.push_back(pool);
}

// Rows on devices come before those of the host: all layers, split over two devices, half of the
// layers. Now and then a model has no other rows.
void draw_rows(Prng& prng, Knobs& knobs, ModelTruth& truth) {
  const PlacementRow on_host = truth.rows.front();
  PlacementRow row = on_host;
  row.placement.gpu_layers = 32;
  row.weights = {};
  row.host_anon = draw(prng, 1_MiB, 600_MiB);
  row.device_bytes = {permille_of(knobs.devices.front().capacity, prng.between(50, 950))};
  std::vector<PlacementRow> rows{row};
  if (knobs.devices.size() > 1 && prng.chance(400)) {
    PlacementRow split = row;
    split.device_bytes = {permille_of(row.device_bytes[0], 550),
                          permille_of(row.device_bytes[0], 500)};
    split.speed_permille = 900;
    rows.push_back(split);
  }
  if (prng.chance(500)) {
    PlacementRow half = row;
    half.placement.gpu_layers = 16;
    half.device_bytes[0] = permille_of(row.device_bytes[0], 550);
    half.host_anon = row.host_anon + permille_of(row.device_bytes[0], 500);
    half.speed_permille = static_cast<std::int32_t>(prng.between(300, 800));
    rows.push_back(half);
  }
  for (PlacementRow& lesser : truth.rows)
    lesser.speed_permille = std::max(1, lesser.speed_permille / 8);
  rows.insert(rows.end(), truth.rows.begin(), truth.rows.end());
  truth.rows = std::move(rows);
}

void draw_pressure(Prng& prng, Knobs& knobs) {
  constexpr const char* presets[] = {"demand", "demand", "balanced", "guard", "unified"};
  PressurePolicy& pressure = knobs.policy.pressure;
  pressure = *pressure_preset(presets[prng.below(5)]);
  if (prng.chance(300))
    pressure.fallback = ModelId(static_cast<std::uint32_t>(prng.below(knobs.models.size())));
  if (prng.chance(300))
    pressure.restore_below_permille = prng.between(300, 900);
  if (prng.chance(150)) {
    PressureLevel& level = pressure.levels[prng.below(pressure.levels.size())];
    level.steps.push_back({PressureStepKind::stop_admission, {}, 0});
  }
}

}  // namespace

void draw_devices(Knobs& knobs) {
  Prng prng(knobs.seed * 0xd6e8feb86659fd93ULL + 5);
  if (prng.chance(450)) {
    const std::int64_t count = prng.between(1, 2);
    for (std::int64_t i = 0; i < count; ++i)
      draw_pool(prng, knobs, static_cast<std::size_t>(i));
    for (ModelTruth& truth : knobs.models) {
      if (prng.chance(750))
        draw_rows(prng, knobs, truth);
    }
  }
  if (prng.chance(400))
    draw_pressure(prng, knobs);
  constexpr Bytes contexts[] = {0_MiB, 100_MiB, 450_MiB, 450_MiB};
  knobs.policy.load.profile_device_reservation = contexts[prng.below(4)];
  for (ModelPolicy& model : knobs.policy.models)
    model.host_only = prng.chance(100);
  RecoveryPolicy& recovery = knobs.policy.recovery;
  recovery.device_failures_max =
      static_cast<std::int32_t>(prng.chance(650) ? 1 : prng.between(2, 4));
  recovery.failure_window = Duration(prng.chance(500) ? 10min : 5s);
  if (prng.chance(100))
    recovery.cooldown.reset();
  else
    recovery.cooldown =
        prng.chance(150) ? Duration(30min) : Duration(prng.between(20'000, 600'000));
  recovery.release_timeout = prng.chance(700) ? Duration(5s) : Duration(100ms);
}

}  // namespace tonnage::sim
