#include "api/json_shapes.h"

namespace tonnage::api {

std::string dump(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

OrderedJson placement_json(const Placement& placement) {
  return {{"gpu_layers", placement.gpu_layers},
          {"context", placement.context},
          {"slots", placement.slots},
          {"kv", tonnage::to_text(placement.kv)}};
}

OrderedJson placement_json(const std::optional<Placement>& placement) {
  return placement ? placement_json(*placement) : OrderedJson(nullptr);
}

std::int64_t to_ms(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

OrderedJson ms_json(const std::optional<Duration>& duration) {
  return duration ? OrderedJson(to_ms(*duration)) : OrderedJson(nullptr);
}

OrderedJson model_name(std::optional<ModelId> model, const Policy& policy) {
  if (!model || model->value >= policy.models.size())
    return nullptr;
  return policy.models[model->value].id;
}

OrderedJson pool_name(PoolId pool, const Policy& policy) {
  if (pool.value >= policy.pools.size())
    return nullptr;
  return policy.pools[pool.value].name;
}

OrderedJson tried_json(const Decision& decision) {
  OrderedJson rows = OrderedJson::array();
  for (const PlacementNeed& row : decision.tried) {
    rows.push_back({{"placement", placement_json(row.placement)},
                    {"need_bytes", row.need.count},
                    {"fits", row.need <= decision.usable}});
  }
  return rows;
}

}  // namespace tonnage::api
