// Presets: named sets of demo models.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tonnage-demo-models/demo_model.h"

namespace tonnage {

struct Preset {
  std::string_view name;
  std::string_view what_for;
  std::vector<DemoModel> models;
};

// All presets, in the order in which help shows them.
const std::vector<Preset>& presets();

// The models of one preset; `seed` is added to each model's own seed.
Result<std::vector<DemoModel>> preset_models(std::string_view name, std::uint64_t seed);

}  // namespace tonnage
