// The pieces that several answers of the API share, as JSON values.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "core/decision.h"
#include "core/policy.h"

namespace tonnage::api {

// Keys keep the order in which they are set, so that answers read well.
using OrderedJson = nlohmann::ordered_json;

// Compact text. Bytes that are not UTF-8 become U+FFFD instead of an exception.
std::string dump(const OrderedJson& json);

OrderedJson placement_json(const Placement& placement);
OrderedJson placement_json(const std::optional<Placement>& placement);

std::int64_t to_ms(Duration duration);
OrderedJson ms_json(const std::optional<Duration>& duration);

// Names of ids; null for one that the policy does not have.
OrderedJson model_name(std::optional<ModelId> model, const Policy& policy);
OrderedJson pool_name(PoolId pool, const Policy& policy);

// [{placement, need_bytes, fits}] against `usable`.
OrderedJson tried_json(const Decision& decision);

}  // namespace tonnage::api
