// load_config and parse_config: file, environment and flags into one Config, or every problem
// found.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/problem.h"

namespace tonnage {

using Environment = std::map<std::string, std::string, std::less<>>;

// Its value; empty where it is not set.
std::string variable(const Environment& environment, std::string_view name);

// A flag of the command line that sets a key.
struct FlagValue {
  std::string flag;   // "--listen"
  std::string path;   // "listen"
  std::string value;  // as the file would say it
};

// A model that no file names: one of `--models DIR`.
struct FoundModel {
  std::string id;
  std::filesystem::path gguf;
};
struct FoundModels {
  std::vector<FoundModel> models;
  std::vector<std::string> notes;  // names that were changed, files that are no models
};

// All that a configuration is made of. Later sources win: defaults, file, environment, flags.
struct ConfigInputs {
  std::string file_name;                 // for messages; empty where there is no file
  std::optional<std::string> yaml;       // the file's text
  std::filesystem::path file_folder;     // absolute; relative paths in the file start here
  std::filesystem::path working_folder;  // absolute; relative paths elsewhere start here
  Environment environment;               // names that are not tonnage's are ignored
  std::vector<FlagValue> flags;
  std::vector<FoundModel> found_models;  // after those of the file
  std::vector<std::string> found_notes;  // become warnings
  std::uint32_t uid = 0;                 // of this user, for the default runtime folder
};

// Reads nothing but its arguments. Never throws; safe on any text.
std::expected<Config, Problems> parse_config(const ConfigInputs& inputs);

// Reads `file`, then parses. `inputs` carries everything else.
std::expected<Config, Problems> load_config(const std::filesystem::path& file, ConfigInputs inputs);

// Environment, working folder and user of this process, and nothing else.
ConfigInputs inputs_of_process();

// Every *.gguf in `folder` and its sub-folders, three deep, sorted by path; the id is the file's
// stem. Projectors (mmproj in the name), the later parts of split models and what is hidden are no
// models. Two files with one stem get their folders in front: "folder/stem". Characters that no id
// may have become '-'; ids that are taken or reserved get a number behind them. What cannot be read
// is left out and said.
std::expected<FoundModels, Problems> models_from_folder(const std::filesystem::path& folder);

// Where a configuration is looked for when none is named: $TONNAGE_CONFIG, else
// $XDG_CONFIG_HOME/tonnage/tonnage.yaml, else ~/.config/tonnage/tonnage.yaml. Empty without a home.
std::filesystem::path default_config_file(const Environment& environment);

// Where the built engine and the demo models are: $TONNAGE_CACHE_DIR, else $XDG_CACHE_HOME/tonnage,
// else ~/.cache/tonnage. Empty without a home.
std::filesystem::path default_cache_dir(const Environment& environment);

// $TONNAGE_STATE_DIR, else $XDG_STATE_HOME/tonnage, else ~/.local/state/tonnage; without a home the
// folder `state` in `runtime_dir`.
std::filesystem::path default_state_dir(const Environment& environment,
                                        const std::filesystem::path& runtime_dir);

// $XDG_RUNTIME_DIR/tonnage-UID, else /tmp/tonnage-UID.
std::filesystem::path default_runtime_dir(const Environment& environment, std::uint32_t uid);

}  // namespace tonnage
