// What clients read of a model to fit their prompts to it: its context and what it can do.
#pragma once

#include <cstdint>
#include <optional>

#include "api/json_shapes.h"
#include "api/memory_api.h"
#include "core/snapshot.h"

namespace tonnage::api {

// How many tokens one request may use, prompt and answer together: never more than its server would
// take. The one place that knows; empty where nobody can tell yet.
std::optional<std::int32_t> request_context(const ModelSnapshot& model, const ModelFace& face);

// Adds to an entry of OpenAI's list the same number under every name by which clients look for it,
// and the model's type and capabilities. `model` may be null: then all of it is null.
void add_client_facts(OrderedJson& entry, const ModelSnapshot* model, const ModelFace& face);

}  // namespace tonnage::api
