// KeyReader: maps of the document into the fields that the key table names, with every mistake
// reported.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.h"
#include "config/key.h"
#include "config/problem.h"
#include "config/sources.h"
#include "config/value.h"

namespace tonnage {

// A map's place: its scope, the path within the scope, and what it is called in messages.
struct MapPlace {
  KeyScope scope = KeyScope::global;
  std::string prefix;           // "queue." within the scope; empty at its top
  std::string name;             // "queue", "models.qwen3"; empty at the top of the file
  bool only_inherited = false;  // this is `defaults`
};

// A nested value that the table describes but whose reading is the caller's.
struct NestedNode {
  const KeySpec* spec = nullptr;
  const Node* node = nullptr;  // into the document
  Origin origin;
};

class KeyReader {
 public:
  // All three must outlive the reader.
  KeyReader(Problems& problems, Sources& sources, std::string file_name, PathBase paths)
      : problems_(problems),
        sources_(sources),
        file_name_(std::move(file_name)),
        paths_(std::move(paths)) {}

  // Stores every key of `map`, and of the sections in it. `defaults` is read at once; models, keys
  // and ladders are returned.
  std::vector<NestedNode> read(const Node& map, const MapPlace& place, KeyTarget& target);

  // One value from outside of the file. `path` is for messages and sources.
  bool store(const KeySpec& spec, const std::string& path, const Node& node, const Origin& origin,
             const PathBase& paths, KeyTarget& target);

  // A node's position; where the parser gave none, that of `fallback`.
  Origin origin(const Node& node, const Node& fallback) const;

  const PathBase& paths() const { return paths_; }
  Problems& problems() { return problems_; }
  Sources& sources() { return sources_; }

 private:
  struct Written {
    std::string path;
    Origin origin;
  };
  using Seen = std::map<const KeySpec*, Written>;

  void read_into(const Node& map, const MapPlace& place, KeyTarget& target,
                 std::vector<NestedNode>& nested, Seen& seen);
  void read_entry(const NodeEntry& entry, const MapPlace& place, KeyTarget& target,
                  std::vector<NestedNode>& nested, Seen& seen);
  void report_unknown(const NodeEntry& entry, const MapPlace& place);

  Problems& problems_;
  Sources& sources_;
  std::string file_name_;
  PathBase paths_;
};

// The table's rows with a default, stored into `target`. A default that does not parse is a defect.
void store_defaults(KeyScope scope, const std::string& name, KeyTarget& target, Sources* sources);

// "in queue", or "at the top level".
std::string in_place(const std::string& name);

}  // namespace tonnage
