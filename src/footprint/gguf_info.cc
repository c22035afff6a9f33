#include <algorithm>
#include <utility>

#include "footprint/gguf.h"

namespace vramd {

std::optional<std::int64_t> GgufInfo::integer(const std::string& key) const {
  const auto found = keys.find(key);
  if (found == keys.end())
    return std::nullopt;
  if (const auto* value = std::get_if<std::int64_t>(&found->second))
    return *value;
  const auto* value = std::get_if<std::uint64_t>(&found->second);
  if (value == nullptr || !std::in_range<std::int64_t>(*value))
    return std::nullopt;
  return static_cast<std::int64_t>(*value);
}

std::optional<std::string> GgufInfo::text(const std::string& key) const {
  const auto found = keys.find(key);
  if (found == keys.end())
    return std::nullopt;
  const auto* value = std::get_if<std::string>(&found->second);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::string GgufInfo::architecture() const {
  return text("general.architecture").value_or("");
}

std::string GgufInfo::name() const {
  return text("general.name").value_or("");
}

std::optional<std::int64_t> GgufInfo::of(const std::string& key) const {
  return integer(architecture() + "." + key);
}

std::optional<std::int64_t> GgufInfo::vocabulary_size() const {
  const auto found = keys.find("tokenizer.ggml.tokens");
  if (found == keys.end())
    return of("vocab_size");
  const auto* tokens = std::get_if<GgufArray>(&found->second);
  if (tokens == nullptr)
    return of("vocab_size");
  return static_cast<std::int64_t>(tokens->count);
}

std::int64_t GgufInfo::split_count() const {
  return std::max<std::int64_t>(1, integer("split.count").value_or(1));
}

bool GgufInfo::is_embedding() const {
  // Pooling 0 is `none` and 4 is `rank` (llama.h, enum llama_pooling_type).
  const std::optional<std::int64_t> pooling = of("pooling_type");
  if (pooling)
    return *pooling != 0 && *pooling != 4;
  // Encoders have no text to generate, whatever their file says about pooling.
  return architecture().ends_with("bert") || architecture().find("-bert") != std::string::npos ||
         architecture().find("-embed") != std::string::npos;
}

bool GgufInfo::is_reranker() const {
  return of("pooling_type") == 4;
}

}  // namespace vramd
