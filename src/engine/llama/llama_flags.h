// LlamaArgs: what a user's own flags for llama-server mean to tonnage: which it may not pass, which
// files they name, and which change the memory that its dry run has to know of.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model_file/model_files.h"

namespace tonnage {

struct LlamaArgs {
  std::vector<NamedFile> files;     // in the order named
  std::vector<std::string> shared;  // flags that change memory, with their values
  // The same for a draft's dry run, in the words that its own program has for them.
  std::vector<std::string> draft;
  std::map<std::string, std::int64_t> overrides;  // integers of --override-kv, by metadata key
  bool flash_attention_off = false;
  bool scaled_positions = false;     // --rope-* or --yarn-*
  std::int32_t tokens_proposed = 0;  // per slot and step, by a draft or by repetition
  // Why something may not be passed, each as "'--host' cannot be passed: ...".
  std::vector<std::string> problems;
};

// The engine takes `--flag value` only, and reads '_' as '-'.
LlamaArgs read_llama_args(std::span<const std::string> args);

// Why `arg` may not be passed through, with the config key to use instead where there is one;
// nothing when it may. Arguments that are not flags may always be passed.
std::optional<std::string> governed_flag(std::string_view arg);

// Why a variable may not be set for a server; nothing when it may. The engine reads each of its
// flags from a variable as well, past everything that is checked here.
std::optional<std::string> governed_variable(std::string_view name);

// A list of paths as the engine reads it: with commas between them, quoted where one has a comma.
std::string comma_list(std::span<const std::string> paths);

}  // namespace tonnage
