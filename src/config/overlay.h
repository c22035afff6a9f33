// Environment and flags laid over a file: which variable sets which key, and what to say of the
// rest.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "config/load.h"
#include "config/reader.h"

namespace tonnage {

// A variable of the environment as a node of the document: lists and maps are written in YAML's
// one-line form or, for lists, with commas between. A problem is a sentence.
std::expected<Node, std::string> node_of_text(const KeySpec& spec, const std::string& text);

class EnvironmentOverlay {
 public:
  explicit EnvironmentOverlay(const ConfigInputs& inputs) : inputs_(inputs) {}

  // Global keys, keys of `defaults` and the founding names.
  void apply_global(KeyReader& reader, KeyTarget& target, std::vector<std::string>& warnings);

  // TONNAGE_MODELS_<ID>_<KEY>. Two ids with one spelling in capitals are a problem only when used.
  void apply_model(KeyReader& reader, const std::string& id, KeyTarget& target);

  // Names that begin with TONNAGE_ and that nothing has read: likely typing mistakes.
  void warn_unused(std::vector<std::string>& warnings) const;

 private:
  void apply(KeyReader& reader, const KeySpec& spec, const std::string& path, KeyTarget& target);
  void apply_founding(KeyReader& reader, const KeySpec& spec, KeyTarget& target,
                      std::vector<std::string>& warnings);

  const ConfigInputs& inputs_;
  std::map<std::string, std::string> used_;  // variable to the path that it set
};

// Flags set global keys and keys of `defaults`; an unknown path is a defect of the caller.
void apply_flags(const ConfigInputs& inputs, KeyReader& reader, KeyTarget& target);

PathBase outside_paths(const ConfigInputs& inputs);

}  // namespace tonnage
