#include "api/snapshot_json.h"

#include <algorithm>

namespace tonnage::api {
namespace {

OrderedJson bytes_json(const std::optional<Bytes>& bytes) {
  return bytes ? OrderedJson(bytes->count) : OrderedJson(nullptr);
}

OrderedJson pool_json(const PoolSnapshot& pool) {
  OrderedJson row;
  row["pool"] = pool.name;
  row["unified"] = pool.unified;
  row["lost"] = pool.lost;
  row["level"] = pool.level.empty() ? OrderedJson() : OrderedJson(pool.level);
  row["level_for_ms"] = to_ms(pool.level_for);
  row["capacity_bytes"] = pool.capacity.count;
  row["budget_bytes"] = pool.budget.count;
  row["used_bytes"] = pool.used.count;
  row["ours_bytes"] = pool.ours.count;
  row["foreign_bytes"] = pool.foreign.count;
  row["orphaned_bytes"] = bytes_json(pool.orphaned);
  row["expected_bytes"] = pool.expected.count;
  row["releasing_bytes"] = pool.releasing.count;
  row["reserved_bytes"] = pool.reserved.count;
  row["reserved_weights_bytes"] = pool.reserved_weights.count;
  row["measured_bytes"] = pool.measured.count;
  row["headroom_bytes"] = pool.headroom.count;
  row["stall_some_permille"] = pool.stall_some_permille;
  row["stall_full_permille"] = pool.stall_full_permille;
  row["sample_age_ms"] = ms_json(pool.sample_age);
  return row;
}

// What it needs, is charged with and holds on each device pool that it has to do with.
OrderedJson devices_json(const ModelSnapshot& model, const ApiContext& context) {
  OrderedJson rows = OrderedJson::array();
  for (std::uint32_t i = 0; i < model.device_reserved.size(); ++i) {
    const auto of = [i](const std::vector<Bytes>& amounts) {
      return i < amounts.size() ? amounts[i] : Bytes{};
    };
    const Bytes predicted = of(model.device_predicted), measured = of(model.device_measured);
    if (predicted + model.device_reserved[i] + measured == Bytes{})
      continue;
    rows.push_back({{"pool", pool_name(PoolId{i + 1}, context.policy)},
                    {"predicted_bytes", predicted.count},
                    {"reserved_bytes", model.device_reserved[i].count},
                    {"measured_bytes",
                     model.device_measured.empty() ? OrderedJson() : OrderedJson(measured.count)}});
  }
  return rows;
}

}  // namespace

const ModelFace& face_of(ModelId model, const ApiContext& context) {
  static const ModelFace kNone;
  return model.value < context.faces.size() ? context.faces[model.value] : kNone;
}

const ModelSnapshot* find_model(const Snapshot& snapshot, ModelId model) {
  const auto found = std::ranges::find(snapshot.models, model, &ModelSnapshot::model);
  return found == snapshot.models.end() ? nullptr : &*found;
}

OrderedJson pools_json(const Snapshot& snapshot) {
  OrderedJson pools = OrderedJson::array();
  for (const PoolSnapshot& pool : snapshot.pools)
    pools.push_back(pool_json(pool));
  return pools;
}

OrderedJson model_json(const ModelSnapshot& model, const ApiContext& context) {
  const ModelFace& face = face_of(model.model, context);
  OrderedJson row;
  row["id"] = model.id;
  row["aliases"] = face.aliases;
  row["type"] = tonnage::to_text(model.type);
  row["engine"] = face.engine;
  row["state"] = tonnage::to_text(model.state);
  row["tier"] = tonnage::to_text(model.tier);
  row["pinned"] = model.pinned;
  row["degraded"] = model.degraded;
  row["stalled"] = model.stalled;
  row["leases"] = model.leases;
  row["waiting"] = model.waiting;
  row["generation"] = model.generation ? OrderedJson(model.generation->value) : OrderedJson();
  row["placement"] = placement_json(model.placement);
  row["target"] = placement_json(model.target);
  row["predicted_bytes"] = model.predicted.count;
  row["weights_bytes"] = model.weights.count;
  row["reserved_bytes"] = model.reserved.count;
  row["measured_bytes"] = bytes_json(model.measured);
  row["source"] = model.source ? OrderedJson(tonnage::to_text(*model.source)) : OrderedJson();
  row["uses"] = model.uses;
  row["loads"] = model.loads;
  row["evictions"] = model.evictions;
  row["failures"] = model.failures;
  row["idle_for_ms"] = ms_json(model.idle_for);
  row["load_time_ms"] = ms_json(model.load_time);
  row["loading_for_ms"] = ms_json(model.loading_for);
  row["retry_in_ms"] = ms_json(model.retry_in);
  row["failure"] = model.failure.empty() ? OrderedJson() : OrderedJson(model.failure);
  row["failure_kind"] =
      model.failure_kind ? OrderedJson(tonnage::to_text(*model.failure_kind)) : OrderedJson();
  row["devices"] = devices_json(model, context);
  row["device_failures"] = model.device_failures;
  row["cpu_only"] = model.cpu_only;
  row["cpu_for_ms"] = ms_json(model.cpu_for);
  row["taken_by_pressure"] = model.taken_by_pressure;
  const TokenCounts& tokens = face.tokens.tokens;
  row["tokens"] = {{"prompt", tokens.prompt},
                   {"kept", tokens.kept},
                   {"read", tokens.prompt - std::min(tokens.prompt, tokens.kept)},
                   {"generated", tokens.generated}};
  row["notes"] = face.notes;
  return row;
}

OrderedJson model_or_null(const Snapshot& snapshot, std::optional<ModelId> model,
                          const ApiContext& context) {
  const ModelSnapshot* found = model ? find_model(snapshot, *model) : nullptr;
  return found == nullptr ? OrderedJson() : model_json(*found, context);
}

OrderedJson problems_json(std::span<const HealthProblem> problems) {
  OrderedJson rows = OrderedJson::array();
  for (const HealthProblem& problem : problems) {
    rows.push_back({{"code", problem.code}, {"text", problem.text}});
  }
  return rows;
}

}  // namespace tonnage::api
