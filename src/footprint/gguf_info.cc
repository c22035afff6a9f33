#include <algorithm>
#include <charconv>
#include <utility>

#include "footprint/gguf.h"

namespace tonnage {
namespace {

// A file that claims more has no sense; the largest models have fewer than 200.
constexpr std::size_t kBlocksMax = 4096;

// The number of "blk.12.attn_q.weight".
std::optional<std::size_t> block_of(std::string_view tensor) {
  constexpr std::string_view prefix = "blk.";
  if (!tensor.starts_with(prefix))
    return std::nullopt;
  tensor.remove_prefix(prefix.size());
  std::size_t block = 0;
  const auto [end, error] = std::from_chars(tensor.data(), tensor.data() + tensor.size(), block);
  const bool whole = end != tensor.data() + tensor.size() && *end == '.';
  if (error != std::errc() || !whole || block >= kBlocksMax)
    return std::nullopt;
  return block;
}

}  // namespace

void GgufWeights::add(std::string_view tensor, Bytes size) {
  if (const auto block = block_of(tensor)) {
    blocks.resize(std::max(blocks.size(), *block + 1));
    blocks[*block] += size;
  } else if (tensor.starts_with("output") || tensor.starts_with("cls")) {
    output += size;
  } else {
    input += size;
  }
}

GgufWeights& GgufWeights::operator+=(const GgufWeights& other) {
  blocks.resize(std::max(blocks.size(), other.blocks.size()));
  for (std::size_t i = 0; i < other.blocks.size(); ++i)
    blocks[i] += other.blocks[i];
  output += other.output;
  input += other.input;
  return *this;
}

Bytes GgufWeights::total() const {
  Bytes sum = output + input;
  for (const Bytes block : blocks)
    sum += block;
  return sum;
}

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

}  // namespace tonnage
