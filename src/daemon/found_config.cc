#include "daemon/found_config.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "engine/llama/model_looks.h"

namespace tonnage {
namespace {

// How long the start and a reload wait for model files. All are looked at at once, so what takes
// longer hangs or sleeps.
constexpr Duration kFirstLookMax = 3s;

}  // namespace

FoundConfig with_found_types(Config config) {
  FoundConfig found{.config = std::move(config), .looks = {}};
  std::vector<std::string> keys;
  std::vector<std::string> untyped;
  std::vector<std::string> typed;
  for (std::uint32_t i = 0; i < found.config.models.size(); ++i) {
    const ModelConfig& model = found.config.models[i];
    keys.push_back(look_key(llama_model(found.config, ModelId(i))));
    if (!model.gguf.empty())
      (model.type ? typed : untyped).push_back(keys.back());
  }
  found.looks = look_at_all(untyped, LookDepth::facts, kFirstLookMax);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const ModelConfig& model = found.config.models[i];
    if (model.type || model.gguf.empty())
      continue;
    ModelType& type = found.config.policy.models[i].type;
    const auto look = std::ranges::find(found.looks, keys[i], &ModelLook::key);
    if (look == found.looks.end()) {
      spdlog::warn("the files of model {} do not answer ({}): it is taken for a language model",
                   found.config.policy.models[i].id, model.gguf.string());
      continue;
    }
    if (!look->facts)
      continue;  // said when the model is first needed
    if (look->facts->gguf.is_embedding())
      type = ModelType::embedding;
    if (look->facts->gguf.is_reranker())
      type = ModelType::reranker;
  }
  std::ranges::move(look_at_all(typed, LookDepth::identity, kFirstLookMax),
                    std::back_inserter(found.looks));
  return found;
}

}  // namespace tonnage
