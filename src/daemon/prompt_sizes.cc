#include "daemon/prompt_sizes.h"

#include <algorithm>
#include <limits>

namespace tonnage {
namespace {

// Estimates and sums stay far from the ends of 64 bits.
constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 40;

}  // namespace

std::int32_t PromptSizes::tokens_of(ModelId model, std::uint64_t prompt_bytes) const {
  if (prompt_bytes == 0)
    return 0;
  const auto bytes = static_cast<std::int64_t>(std::min(prompt_bytes, kBytesMax));
  std::int64_t tokens = bytes / kBytesPerToken;
  if (model.value < sums_.size() && sums_[model.value].bytes > 0) {
    const Sums& sums = sums_[model.value];
    // Tokens of a KiB: the product fits, as no byte has more than kTokensPerByteMax.
    tokens = bytes * (sums.tokens * 1024 / sums.bytes + 1) / 1024;
    tokens += tokens / 16;
  }
  tokens = std::clamp(tokens, bytes / kBytesPerTokenMax, bytes * kTokensPerByteMax);
  return static_cast<std::int32_t>(std::min<std::int64_t>(
      tokens + kTemplateTokens, std::numeric_limits<std::int32_t>::max() / 2));
}

void PromptSizes::learn(ModelId model, std::uint64_t prompt_bytes, std::uint64_t tokens) {
  // More tokens than that are no count of this prompt, whatever a server says.
  if (prompt_bytes < kLearnedBytesMin || prompt_bytes > kBytesMax || tokens == 0 ||
      tokens > prompt_bytes * kTokensPerByteMax)
    return;
  if (model.value >= sums_.size())
    sums_.resize(model.value + 1);
  Sums& sums = sums_[model.value];
  sums.bytes += static_cast<std::int64_t>(prompt_bytes);
  sums.tokens += static_cast<std::int64_t>(tokens);
  while (sums.bytes > kRememberedBytes) {
    sums.bytes /= 2;
    sums.tokens /= 2;
  }
}

}  // namespace tonnage
