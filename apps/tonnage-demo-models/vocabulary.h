// Vocabulary: a token for every byte, a few control tokens, and the words that a demo model says.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tonnage {

// Token texts are in the byte-to-letter alphabet of GPT-2's tokenizer, so that any text encodes to
// its bytes and decodes to itself. Signature and words have no merge rule: they are only ever
// produced, never read from a prompt.
struct Vocabulary {
  std::vector<std::string> texts;
  std::vector<std::int32_t> types;      // GGUF's token types
  std::vector<std::int32_t> successor;  // what a decoder says after each token

  std::int32_t bos = 0;
  std::int32_t end_of_turn = 0;
  std::int32_t pad = 0;
};

// `signature` becomes one token, which follows any token of a prompt; then come the words, in a
// circle. With `eos_after` > 0 the turn ends after that many tokens, the signature included;
// 0 means never.
Vocabulary decoder_vocabulary(const std::string& signature, std::uint64_t seed,
                              std::int32_t eos_after);

// The same bytes and control tokens without anything to say.
Vocabulary byte_vocabulary();

// The longest answer that --eos-after can ask for: one word token each.
inline constexpr std::int32_t kEosAfterMax = 512;

}  // namespace tonnage
