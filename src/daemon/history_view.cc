#include "daemon/history_view.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace tonnage {
namespace {

using Json = nlohmann::ordered_json;

// Its server exists, or is about to: memory is charged for it.
bool has_server(const ModelSnapshot& model) {
  switch (model.state) {
    case ResidencyState::loading:
    case ResidencyState::ready:
    case ResidencyState::draining:
    case ResidencyState::stopping:
      return true;
    case ResidencyState::absent:
    case ResidencyState::profiling:
    case ResidencyState::failed:
      return false;
  }
  return false;
}

Json pool_json(const PoolPoint& point) {
  const HistoryPool& mean = point.mean;
  return {{"pool", mean.pool},
          {"capacity_bytes", mean.capacity.count},
          {"budget_bytes", mean.budget.count},
          {"foreign_bytes", mean.foreign.count},
          {"foreign_max_bytes", point.foreign_max.count},
          {"reserved_bytes", mean.reserved.count},
          {"reserved_max_bytes", point.reserved_max.count},
          {"measured_bytes", mean.measured.count},
          {"measured_max_bytes", point.measured_max.count},
          {"headroom_bytes", mean.headroom.count},
          {"headroom_min_bytes", point.headroom_min.count}};
}

Json model_json(const ModelPoint& point) {
  const HistoryModel& mean = point.mean;
  return {{"model", mean.model},
          {"weights_bytes", mean.weights.count},
          {"reserved_bytes", mean.reserved.count},
          {"reserved_max_bytes", point.reserved_max.count},
          {"measured_bytes", mean.measured.count},
          {"measured_max_bytes", point.measured_max.count},
          {"leases_max", point.leases_max}};
}

}  // namespace

HistorySample history_sample(const Snapshot& snapshot, std::int64_t at_s, Duration span) {
  HistorySample sample;
  sample.at_s = at_s;
  sample.span_s =
      std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::seconds>(span).count());
  for (const PoolSnapshot& pool : snapshot.pools) {
    sample.pools.push_back({pool.name, pool.capacity, pool.budget, pool.foreign, pool.reserved,
                            pool.measured, pool.headroom});
  }
  for (const ModelSnapshot& model : snapshot.models) {
    if (!has_server(model))
      continue;
    sample.models.push_back(
        {model.id, model.weights, model.reserved, model.measured.value_or(Bytes{}), model.leases});
  }
  return sample;
}

std::string history_json(const HistoryAnswer& answer, const HistoryQuery& query) {
  Json data = Json::array();
  for (const HistoryPoint& point : answer.points) {
    Json pools = Json::array();
    for (const PoolPoint& pool : point.pools)
      pools.push_back(pool_json(pool));
    Json models = Json::array();
    for (const ModelPoint& model : point.models)
      models.push_back(model_json(model));
    data.push_back({{"time_ms", point.at_s * 1000},
                    {"pools", std::move(pools)},
                    {"models", std::move(models)}});
  }
  const Json whole = {{"object", "list"},
                      {"step_ms", answer.step_s * 1000},
                      {"since_ms", query.since_s * 1000},
                      {"until_ms", query.until_s * 1000},
                      {"data", std::move(data)}};
  return whole.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::filesystem::path history_file(const std::filesystem::path& state_dir) {
  return state_dir / "history.sqlite";
}

}  // namespace tonnage
