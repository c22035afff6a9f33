#include "api/status_report.h"

#include <algorithm>
#include <cstdint>

namespace tonnage::api {
namespace {

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width)
    text.append(width - text.size(), ' ');
  return text;
}

std::string counted(std::int64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

Bytes on_devices(const ModelSnapshot& model) {
  Bytes sum;
  for (std::size_t i = 0; i < model.device_reserved.size(); ++i) {
    sum += i < model.device_measured.size() ? model.device_measured[i] : model.device_reserved[i];
  }
  return sum;
}

std::string level_of(const PoolSnapshot& pool) {
  return pool.lost ? "lost" : pool.level.empty() ? "normal" : pool.level;
}

std::string pool_line(const PoolSnapshot& pool, std::size_t name_width, std::size_t level_width) {
  std::string line =
      "  " + padded(pool.name, name_width) + "  " + padded(level_of(pool), level_width) + "  ";
  if (pool.lost)
    return line + "no longer visible";
  if (pool.capacity <= Bytes{})
    return line + "never measured";
  const std::int64_t percent = pool.used.count * 100 / pool.capacity.count;
  line += std::to_string(percent) + " % of " + to_text(pool.capacity) + " used: ours " +
          to_text(pool.ours) + ", others " + to_text(pool.foreign) + ", free " +
          to_text(std::max(Bytes{}, pool.capacity - pool.used)) + "; reserved " +
          to_text(pool.reserved) + " of " + to_text(pool.budget);
  if (!pool.level.empty() && pool.level_for >= 1s)
    line += "; " + pool.level + " for " + rounded_text(pool.level_for);
  if (pool.releasing > Bytes{})
    line += "; " + to_text(pool.releasing) + " not back yet";
  if (pool.orphaned.value_or(Bytes{}) > Bytes{})
    line += "; " + to_text(*pool.orphaned) + " held by no process";
  return line;
}

std::string model_line(const ModelSnapshot& model, const Snapshot& snapshot,
                       std::size_t name_width) {
  std::string where;
  for (const PoolId device : model.devices) {
    for (const PoolSnapshot& pool : snapshot.pools) {
      if (pool.pool == device)
        where += (where.empty() ? "" : "+") + pool.name;
    }
  }
  std::string line = "  " + padded(model.id, name_width) + "  " +
                     std::string(to_text(model.state)) + " on " + (where.empty() ? "host" : where);
  if (const Bytes device = on_devices(model); device > Bytes{})
    line += ", " + to_text(device) + " there and";
  else
    line += ",";
  line += " " + to_text(model.measured.value_or(model.reserved) + model.weights) + " in the host";
  if (model.leases > 0)
    line += ", in use by " + counted(model.leases, "request");
  else if (model.idle_for)
    line += ", idle for " + rounded_text(*model.idle_for);
  if (model.waiting > 0)
    line += ", " + counted(model.waiting, "request") + " waiting";
  if (model.degraded)
    line += ", degraded";
  if (model.pinned)
    line += ", pinned";
  return line;
}

}  // namespace

std::string status_report(const Snapshot& snapshot) {
  std::size_t pool_width = 0, level_width = 0, model_width = 0;
  for (const PoolSnapshot& pool : snapshot.pools) {
    pool_width = std::max(pool_width, pool.name.size());
    level_width = std::max(level_width, level_of(pool).size());
  }
  std::int64_t on_gpu = 0, on_host = 0, failures = 0, failed = 0, off_gpu = 0;
  for (const ModelSnapshot& model : snapshot.models) {
    failures += model.device_failures;
    failed += model.state == ResidencyState::failed ? 1 : 0;
    off_gpu += model.cpu_only ? 1 : 0;
    if (!model.generation)
      continue;
    (model.tier == Tier::gpu ? on_gpu : on_host) += 1;
    model_width = std::max(model_width, model.id.size());
  }
  const std::string preset = snapshot.preset.empty() ? "" : " (" + snapshot.preset + ")";
  std::string text = "memory status" + preset + ": " +
                     (snapshot.problems.empty() ? "healthy" : "not healthy") + ", " +
                     counted(snapshot.leases, "request") + " running, " +
                     std::to_string(snapshot.waiting) + " waiting";
  for (const PoolSnapshot& pool : snapshot.pools)
    text += "\n" + pool_line(pool, pool_width, level_width);
  text += "\n  " + counted(on_gpu, "model") + " on GPUs, " + std::to_string(on_host) +
          " on the host; device memory failures: " + std::to_string(failures);
  if (off_gpu > 0)
    text += "; " + counted(off_gpu, "model") + " kept off the GPU";
  if (failed > 0)
    text += "; " + counted(failed, "model") + " failed";
  for (const ModelSnapshot& model : snapshot.models) {
    if (model.generation)
      text += "\n" + model_line(model, snapshot, model_width);
  }
  for (const HealthProblem& problem : snapshot.problems)
    text += "\n  problem: " + problem.text;
  return text;
}

}  // namespace tonnage::api
