// PromptSizes: how many tokens a prompt probably has, by its bytes and what earlier answers said.
#pragma once

#include <cstdint>
#include <vector>

#include "core/types.h"

namespace tonnage {

// Bytes per token depend on the model's vocabulary and on what its users write, so they are learned
// for each model from the answers of its servers. An estimate errs on the long side: too much asks
// for a placement with more context, too little ends in the engine's error.
class PromptSizes {
 public:
  // Before anything was learned, and what tokens may be at most and at least: single bytes in
  // vocabularies without words, whole words in large ones.
  static constexpr std::int64_t kBytesPerToken = 3;
  static constexpr std::int64_t kTokensPerByteMax = 2;
  static constexpr std::int64_t kBytesPerTokenMax = 16;
  // What a chat template puts around messages. A longer prompt has it in what is learned.
  static constexpr std::int64_t kTemplateTokens = 32;
  // From shorter prompts nothing is learned: their tokens are mostly the template's.
  static constexpr std::int64_t kLearnedBytesMin = 512;
  // Newer answers count more than those before the last so many bytes.
  static constexpr std::int64_t kRememberedBytes = std::int64_t{1} << 20;

  std::int32_t tokens_of(ModelId model, std::uint64_t prompt_bytes) const;

  // An answer of the model to a prompt of so many bytes, all of them text, counted so many tokens.
  void learn(ModelId model, std::uint64_t prompt_bytes, std::uint64_t tokens);

 private:
  struct Sums {
    std::int64_t bytes = 0;
    std::int64_t tokens = 0;
  };
  std::vector<Sums> sums_;  // index is ModelId
};

}  // namespace tonnage
