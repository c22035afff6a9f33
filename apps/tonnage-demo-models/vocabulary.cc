#include "tonnage-demo-models/vocabulary.h"

#include <set>
#include <string_view>

#include "base/prng.h"

namespace tonnage {
namespace {

enum TokenType : std::int32_t { kNormal = 1, kControl = 3 };

// Words in the circle of a decoder that never ends its turn.
constexpr std::int32_t kCircleWords = 64;

// GPT-2's alphabet: printable Latin-1 stands for itself, the other bytes for U+0100 and up, in
// order. (openai/gpt-2, encoder.py, bytes_to_unicode.)
std::string alphabet_letter(unsigned byte) {
  const auto printable = [](unsigned b) {
    return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
  };
  unsigned code = byte;
  if (!printable(byte)) {
    code = 0x100;
    for (unsigned b = 0; b < byte; ++b)
      code += printable(b) ? 0U : 1U;
  }
  if (code < 0x80)
    return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xc0U | code >> 6U), static_cast<char>(0x80U | (code & 0x3fU))};
}

std::string in_alphabet(std::string_view text) {
  std::string out;
  for (const char c : text)
    out += alphabet_letter(static_cast<unsigned char>(c));
  return out;
}

std::int32_t add(Vocabulary& vocabulary, std::string text, std::int32_t type) {
  vocabulary.texts.push_back(std::move(text));
  vocabulary.types.push_back(type);
  return static_cast<std::int32_t>(vocabulary.texts.size()) - 1;
}

// " lomi", " katu.": two pronounceable syllables.
std::string word(Prng& prng) {
  constexpr std::string_view consonants = "bdfgklmnprstvz";
  constexpr std::string_view vowels = "aeiou";
  std::string out = " ";
  for (int syllable = 0; syllable < 2; ++syllable) {
    out += consonants[prng.below(consonants.size())];
    out += vowels[prng.below(vowels.size())];
  }
  return out;
}

}  // namespace

Vocabulary byte_vocabulary() {
  Vocabulary vocabulary;
  for (unsigned byte = 0; byte < 256; ++byte)
    add(vocabulary, alphabet_letter(byte), kNormal);
  vocabulary.bos = add(vocabulary, "<|begin|>", kControl);
  vocabulary.pad = add(vocabulary, "<|pad|>", kControl);
  for (const char* role : {"<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"}) {
    add(vocabulary, role, kControl);
  }
  vocabulary.end_of_turn = add(vocabulary, "<|end|>", kControl);
  return vocabulary;
}

Vocabulary decoder_vocabulary(const std::string& signature, std::uint64_t seed,
                              std::int32_t eos_after) {
  Vocabulary vocabulary = byte_vocabulary();
  const std::int32_t first = add(vocabulary, in_alphabet(signature), kNormal);
  const std::int32_t words = eos_after > 0 ? eos_after - 1 : kCircleWords;
  Prng prng(seed);
  std::set<std::string> seen;
  while (static_cast<std::int32_t>(seen.size()) < words) {
    std::string text = word(prng);
    if (!seen.insert(text).second)
      continue;
    if (seen.size() % 8 == 0)
      text += '.';
    add(vocabulary, in_alphabet(text), kNormal);
  }

  const auto size = static_cast<std::int32_t>(vocabulary.texts.size());
  vocabulary.successor.assign(static_cast<std::size_t>(size), first);
  for (std::int32_t token = first; token + 1 < size; ++token) {
    vocabulary.successor[static_cast<std::size_t>(token)] = token + 1;
  }
  const std::int32_t after_last = eos_after > 0 ? vocabulary.end_of_turn : first + 1;
  vocabulary.successor[static_cast<std::size_t>(size - 1)] = after_last;
  return vocabulary;
}

}  // namespace tonnage
