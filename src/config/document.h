// Node: YAML text as a bounded tree that knows the position of every part of it.
#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.h"

namespace tonnage {

struct NodeEntry;

// Aliases are expanded, duplicate keys are kept: who reads the tree can see and report them.
struct Node {
  enum class Kind { null, scalar, list, map };

  Kind kind = Kind::null;
  std::string text;     // of a scalar
  bool quoted = false;  // the scalar stood in quotes
  int line = 0;
  int column = 0;
  std::vector<Node> items;         // of a list
  std::vector<NodeEntry> entries;  // of a map, in the order of the text
};

struct NodeEntry {
  Node key;
  Node value;
};

// "a list", "a map", "nothing", or the scalar in quotes.
std::string describe(const Node& node);

// Bounds against files that are not configurations, and against aliases that multiply.
inline constexpr std::size_t kDocumentBytesMax = std::size_t{1} << 20;
inline constexpr std::size_t kDocumentDepthMax = 32;
inline constexpr std::size_t kDocumentNodesMax = 50'000;  // after expansion of aliases
inline constexpr std::size_t kDocumentTextBytesMax = std::size_t{4} << 20;  // the same
inline constexpr std::size_t kDocumentAliasesMax = 1'000;

// The one document in `text`; an empty text is a null node. `name` is used in the problem.
std::expected<Node, Problem> parse_document(std::string_view text, std::string_view name);

}  // namespace tonnage
