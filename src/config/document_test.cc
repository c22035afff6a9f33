#include "config/document.h"

#include <string>

#include <gtest/gtest.h>

#include "config/config_text.h"

namespace tonnage {
namespace {

std::string problem_of(const std::string& text) {
  const auto node = parse_document(text, "f");
  return node ? "no problem" : to_text(node.error());
}

std::string repeated(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i)
    out += text;
  return out;
}

TEST(Document, KeepsPositionsOrderAndDuplicates) {
  const auto node = parse_document("b: 1\na: [x, 'y']\nb: {}\n", "f");
  ASSERT_TRUE(node);
  ASSERT_EQ(node->entries.size(), 3U);
  EXPECT_EQ(node->entries[0].key.text, "b");
  EXPECT_EQ(node->entries[2].key.text, "b");
  EXPECT_EQ(node->entries[2].key.line, 3);
  const Node& list = node->entries[1].value;
  EXPECT_EQ(list.kind, Node::Kind::list);
  EXPECT_EQ(list.items[1].text, "y");
  EXPECT_TRUE(list.items[1].quoted);
  EXPECT_FALSE(list.items[0].quoted);
  EXPECT_EQ(list.items[1].column, 8);
}

TEST(Document, AnEmptyTextIsNothing) {
  for (const char* text : {"", "\n", "# a comment\n", "---\n"}) {
    const auto node = parse_document(text, "f");
    ASSERT_TRUE(node) << text;
    EXPECT_EQ(node->kind, Node::Kind::null) << text;
  }
}

TEST(Document, BadYamlNamesThePlaceAndTheText) {
  EXPECT_EQ(problem_of("a:\n  b: x\n c: 3\n"),
            "f:3:2: not valid YAML: end of map not found, at or before 'c: 3'");
  EXPECT_EQ(problem_of("a: *nobody"),
            "f:1:4: not valid YAML: the referenced anchor is not defined, at or before 'a: "
            "*nobody'");
  EXPECT_EQ(problem_of("a: 1\n---\nb: 2\n"),
            "f:2:1: a second document begins here; one file holds one document");
}

TEST(Document, AliasesAreCopiedAndCyclesRefused) {
  const auto node = parse_document("a: &x [1]\nb: *x\n", "f");
  ASSERT_TRUE(node);
  EXPECT_EQ(node->entries[1].value.items[0].text, "1");
  EXPECT_EQ(node->entries[1].value.line, 2);
  EXPECT_EQ(problem_of("a: &x [*x]"),
            "f:1:8: an alias inside of what it stands for; write the value out");
}

TEST(Document, AliasesThatMultiplyAreRefused) {
  // Without any text, so that only the number of nodes can be what is too much.
  std::string bomb = "a0: &a0 [[], [], [], [], [], [], [], [], [], []]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string previous = "*a" + std::to_string(i - 1);
    const std::string name = "a" + std::to_string(i);
    bomb += name + ": &" + name + " [" + previous + repeated(", " + previous, 9) + "]\n";
  }
  EXPECT_NE(problem_of(bomb).find("too much for a configuration"), std::string::npos);

  const std::string big(100'000, 'x');
  EXPECT_NE(problem_of("a: &x " + big + "\nb: [*x" + repeated(", *x", 50) + "]\n")
                .find("too much for a configuration"),
            std::string::npos);
  EXPECT_NE(problem_of("a: &x 1\nb: [*x" + repeated(", *x", 1000) + "]\n").find("1000 aliases"),
            std::string::npos);
}

TEST(Document, DepthAndSizeAreBounded) {
  EXPECT_EQ(problem_of(repeated("[", 32) + repeated("]", 32)), "no problem");
  for (const int depth : {33, 400, 100'000}) {
    EXPECT_NE(problem_of(repeated("[", depth) + repeated("]", depth)).find("nested deeper"),
              std::string::npos)
        << depth;
  }
  EXPECT_NE(problem_of(std::string(kDocumentBytesMax + 1, '#')).find("larger than 1 MiB"),
            std::string::npos);
  EXPECT_NE(problem_of(std::string("a: \0b", 5)).find("zero byte"), std::string::npos);
}

// A dumb fuzzer with a fixed seed: whatever is cut out of or put into a good file, there is an
// answer and no crash.
TEST(Document, DamagedFilesGetAnAnswer) {
  const std::string good =
      "listen: 127.0.0.1:1\nqueue: &q {yield_after: 5s}\nmodels:\n  a: {gguf: 'x', args: [\"b\"]}\n"
      "  b: *q\nkeys:\n  - name: c\n    key: |\n      12345678\n";
  const std::string pieces = "{}[]:,&*!|>'\"%@`#-? \n\t\x80\xff";
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const char piece : pieces) {
      std::string text = good;
      text[at] = piece;
      static_cast<void>(problems_of(text));
    }
    static_cast<void>(problems_of(good.substr(0, at)));
    static_cast<void>(problems_of(good.substr(at)));
  }
}

}  // namespace
}  // namespace tonnage
