#include "api/client_facts.h"

#include <algorithm>
#include <string_view>

namespace tonnage::api {
namespace {

OrderedJson number_or_null(const std::optional<std::int32_t>& number) {
  return number ? OrderedJson(*number) : OrderedJson(nullptr);
}

// The words of llama.cpp's and Ollama's lists.
std::string_view capability_of(ModelType type) {
  switch (type) {
    case ModelType::llm:
      return "completion";
    case ModelType::embedding:
      return "embedding";
    case ModelType::reranker:
      return "rerank";
    case ModelType::stt:
      return "transcription";
    case ModelType::vision:
      return "vision";
    case ModelType::image:
      return "image";
    case ModelType::other:
      break;
  }
  return "other";
}

OrderedJson capabilities_json(ModelType type) {
  OrderedJson list = OrderedJson::array({capability_of(type)});
  if (type == ModelType::vision)
    list.insert(list.begin(), "completion");
  return list;
}

}  // namespace

// While a lesser placement runs, a prompt for the target would be too long for it.
std::optional<std::int32_t> request_context(const ModelSnapshot& model, const ModelFace& face) {
  std::optional<std::int32_t> least;
  const auto at_most = [&](std::int32_t context) {
    if (context > 0)
      least = std::min(least.value_or(context), context);
  };
  if (model.placement)
    at_most(model.placement->context);
  if (model.target)
    at_most(model.target->context);
  if (!least)
    at_most(face.configured_context);
  if (least && face.trained_context)
    at_most(*face.trained_context);
  return least;
}

void add_client_facts(OrderedJson& entry, const ModelSnapshot* model, const ModelFace& face) {
  const auto context = model != nullptr ? request_context(*model, face) : std::nullopt;
  for (const char* name : {"context_length", "context_window", "max_model_len"})
    entry[name] = number_or_null(context);
  entry["meta"] = {{"n_ctx", number_or_null(context)},
                   {"n_ctx_train", number_or_null(face.trained_context)}};
  entry["type"] = model != nullptr ? OrderedJson(tonnage::to_text(model->type)) : OrderedJson();
  entry["capabilities"] = model != nullptr ? capabilities_json(model->type) : OrderedJson::array();
}

}  // namespace tonnage::api
