#include "config/document.h"

#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

namespace tonnage {
namespace {

constexpr std::string_view kTooDeep = "nested deeper than any configuration; close some brackets";

// Builds the tree from the parser's events. The parser cannot be stopped without an exception, so
// after the first problem the remaining events are ignored.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::string_view name) : name_(name) {}

  std::optional<Problem> problem;
  Node root;

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1)
      stop(mark, "a second document begins here; one file holds one document");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    place(make(Node::Kind::null, mark), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (problem)
      return;
    if (++aliases_ > kDocumentAliasesMax) {
      stop(mark, "more than " + std::to_string(kDocumentAliasesMax) + " aliases");
      return;
    }
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      stop(mark, "an alias inside of what it stands for; write the value out");
      return;
    }
    Node copy = found->second;
    copy.line = mark.line + 1;
    copy.column = mark.column + 1;
    count(copy, mark);
    place(std::move(copy), 0);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node = make(Node::Kind::scalar, mark);
    node.text = value;
    node.quoted = tag == "!";
    count(node, mark);
    place(std::move(node), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(Node::Kind::list, mark, anchor);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(Node::Kind::map, mark, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Node node;
    std::optional<Node> key;  // of a map, while its value is awaited
    YAML::anchor_t anchor = 0;
  };

  static Node make(Node::Kind kind, const YAML::Mark& mark) {
    Node node;
    node.kind = kind;
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    return node;
  }

  void stop(const YAML::Mark& mark, std::string text) {
    if (problem)
      return;
    problem = Problem{{name_, mark.line + 1, mark.column + 1}, std::move(text)};
  }

  void count(const Node& node, const YAML::Mark& mark) {
    ++nodes_;
    text_bytes_ += node.text.size();
    if (nodes_ > kDocumentNodesMax || text_bytes_ > kDocumentTextBytesMax) {
      stop(mark, "too much for a configuration once its aliases are expanded");
      return;
    }
    for (const Node& item : node.items)
      count(item, mark);
    for (const NodeEntry& entry : node.entries) {
      count(entry.key, mark);
      count(entry.value, mark);
    }
  }

  void open(Node::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (problem)
      return;
    if (stack_.size() == kDocumentDepthMax) {
      stop(mark, std::string(kTooDeep));
      return;
    }
    Node node = make(kind, mark);
    count(node, mark);
    stack_.push_back({std::move(node), std::nullopt, anchor});
  }

  void close() {
    if (problem)
      return;
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    place(std::move(frame.node), frame.anchor);
  }

  void place(Node node, YAML::anchor_t anchor) {
    if (problem)
      return;
    if (anchor != 0)
      anchors_[anchor] = node;
    if (stack_.empty()) {
      root = std::move(node);
      return;
    }
    Frame& parent = stack_.back();
    if (parent.node.kind == Node::Kind::list) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.key) {
      parent.key = std::move(node);
    } else {
      parent.node.entries.push_back({std::move(*parent.key), std::move(node)});
      parent.key.reset();
    }
  }

  std::string name_;
  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, Node> anchors_;  // of nodes that are complete
  std::size_t documents_ = 0;
  std::size_t nodes_ = 0;
  std::size_t text_bytes_ = 0;
  std::size_t aliases_ = 0;
};

std::string line_of(std::string_view text, int line) {
  std::size_t begin = 0;
  for (int i = 0; i < line && begin < text.size(); ++i) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string_view::npos)
      return {};
    begin = end + 1;
  }
  std::string_view found = text.substr(begin, text.find('\n', begin) - begin);
  while (!found.empty() && (found.front() == ' ' || found.back() == '\r')) {
    found = found.front() == ' ' ? found.substr(1) : found.substr(0, found.size() - 1);
  }
  return std::string(found);
}

}  // namespace

std::string describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::null:
      return "nothing";
    case Node::Kind::scalar:
      return in_quotes(node.text);
    case Node::Kind::list:
      return "a list";
    case Node::Kind::map:
      return "a map";
  }
  return "";
}

std::expected<Node, Problem> parse_document(std::string_view text, std::string_view name) {
  if (text.size() > kDocumentBytesMax) {
    return std::unexpected(
        Problem{{std::string(name)}, "larger than 1 MiB; this is not a tonnage configuration"});
  }
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return std::unexpected(Problem{{std::string(name)}, "not a text file: it holds a zero byte"});
  }
  TreeBuilder builder(name);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (!builder.problem && parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::DeepRecursion& e) {
    return std::unexpected(
        Problem{{std::string(name), e.mark.line + 1, e.mark.column + 1}, std::string(kTooDeep)});
  } catch (const YAML::Exception& e) {
    const std::string line = line_of(text, e.mark.line);
    std::string message = "not valid YAML: " + e.msg;
    if (!line.empty())
      message += ", at or before " + in_quotes(line);
    return std::unexpected(
        Problem{{std::string(name), e.mark.line + 1, e.mark.column + 1}, message});
  }
  if (builder.problem)
    return std::unexpected(*builder.problem);
  return std::move(builder.root);
}

}  // namespace tonnage
