#include "api/model_fit.h"

#include <string>

namespace tonnage::api {

std::optional<ApiError> unfit_model(std::string_view name, ModelType type, Work work,
                                    std::string_view path) {
  const auto unfit = [&](std::string_view kind, std::string_view remedy) {
    return ApiError{400,
                    "unfit_model",
                    "'" + std::string(name) + "' is " + std::string(kind) +
                        ", so it cannot serve " + std::string(path) + ". " + std::string(remedy),
                    "model",
                    {},
                    {}};
  };
  switch (work) {
    case Work::any:
      break;
    case Work::media:
      if (type == ModelType::embedding)
        return unfit("an embedding model", "Send it to /v1/embeddings.");
      if (type == ModelType::reranker)
        return unfit("a reranker", "Send it to /v1/rerank.");
      break;
    case Work::generate:
      if (type == ModelType::embedding)
        return unfit("an embedding model", "Send it to /v1/embeddings, or ask a language model.");
      if (type == ModelType::reranker)
        return unfit("a reranker", "Send it to /v1/rerank, or ask a language model.");
      break;
    case Work::embed:
      if (type == ModelType::llm || type == ModelType::vision) {
        return unfit("a language model",
                     "Ask a model of type embedding; `type: embedding` makes one of it.");
      }
      break;
    case Work::rank:
      if (type == ModelType::llm || type == ModelType::vision)
        return unfit("a language model", "Ask a model of type reranker.");
      if (type == ModelType::embedding)
        return unfit("an embedding model", "Ask a model of type reranker.");
      break;
  }
  return std::nullopt;
}

}  // namespace tonnage::api
