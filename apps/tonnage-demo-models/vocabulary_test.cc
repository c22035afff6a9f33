#include "tonnage-demo-models/vocabulary.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

std::int32_t token(const Vocabulary& vocabulary, const std::string& text) {
  const auto found = std::ranges::find(vocabulary.texts, text);
  return found == vocabulary.texts.end()
             ? -1
             : static_cast<std::int32_t>(found - vocabulary.texts.begin());
}

TEST(Vocabulary, HasATokenForEveryByteAtItsOwnNumber) {
  const Vocabulary vocabulary = byte_vocabulary();
  EXPECT_EQ(token(vocabulary, "A"), 'A');
  EXPECT_EQ(token(vocabulary, "\xc4\xa0"), ' ') << "GPT-2 writes a space as U+0120";
  EXPECT_EQ(token(vocabulary, "\xc4\x8a"), '\n') << "and a line feed as U+010A";
  EXPECT_EQ(token(vocabulary, "\xc3\xa9"), 0xe9) << "printable Latin-1 stands for itself";
  EXPECT_EQ(token(vocabulary, "\xc5\x83"), 0xad) << "the soft hyphen is the last of the others";
}

TEST(Vocabulary, TextsAreUnique) {
  const Vocabulary vocabulary = decoder_vocabulary("a:", 5, 0);
  const std::set<std::string> texts(vocabulary.texts.begin(), vocabulary.texts.end());
  EXPECT_EQ(texts.size(), vocabulary.texts.size());
  EXPECT_EQ(vocabulary.types.size(), vocabulary.texts.size());
}

TEST(Vocabulary, TheSignatureFollowsWhateverAPromptEndsWith) {
  const Vocabulary vocabulary = decoder_vocabulary("demo a:", 1, 0);
  const std::int32_t signature = token(vocabulary,
                                       "demo\xc4\xa0"
                                       "a:");
  ASSERT_GE(signature, 256);
  for (std::int32_t t = 0; t < signature; ++t) {
    EXPECT_EQ(vocabulary.successor[static_cast<std::size_t>(t)], signature) << "after token " << t;
  }
}

TEST(Vocabulary, WordsGoInACircleWithoutTheSignature) {
  const Vocabulary vocabulary = decoder_vocabulary("a:", 1, 0);
  std::int32_t t = 'x';
  std::set<std::int32_t> seen;
  for (int i = 0; i < 1000; ++i) {
    t = vocabulary.successor[static_cast<std::size_t>(t)];
    EXPECT_EQ(t == token(vocabulary, "a:"), i == 0);
    EXPECT_NE(t, vocabulary.end_of_turn);
    seen.insert(t);
  }
  EXPECT_EQ(seen.size(), 65U);
}

TEST(Vocabulary, EndsTheTurnAfterTheWantedNumberOfTokens) {
  for (const std::int32_t wanted : {1, 2, 30, kEosAfterMax}) {
    const Vocabulary vocabulary = decoder_vocabulary("a:", 1, wanted);
    std::int32_t said = 0;
    std::int32_t t = 'x';
    while ((t = vocabulary.successor[static_cast<std::size_t>(t)]) != vocabulary.end_of_turn) {
      ASSERT_LE(++said, wanted);
    }
    EXPECT_EQ(said, wanted);
  }
}

}  // namespace
}  // namespace tonnage
