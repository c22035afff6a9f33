// Pools and models of a snapshot as JSON values, shared by every answer that shows them.
#pragma once

#include "api/json_shapes.h"
#include "api/memory_api.h"
#include "core/snapshot.h"

namespace tonnage::api {

const ModelFace& face_of(ModelId model, const ApiContext& context);
// Null where there is none of that id.
const ModelSnapshot* find_model(const Snapshot& snapshot, ModelId model);

OrderedJson pools_json(const Snapshot& snapshot);
OrderedJson model_json(const ModelSnapshot& model, const ApiContext& context);
OrderedJson model_or_null(const Snapshot& snapshot, std::optional<ModelId> model,
                          const ApiContext& context);
OrderedJson problems_json(std::span<const HealthProblem> problems);

}  // namespace tonnage::api
