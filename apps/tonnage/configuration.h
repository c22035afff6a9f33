// load_configuration: what `serve`, `check` and `doctor` run on, from the flags of the command
// line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "config/load.h"
#include "tonnage/exit_code.h"

namespace tonnage {

// Flags that set keys; empty where they are not given.
struct ConfigurationFlags {
  std::string config;  // --config FILE
  std::string models;  // --models DIR
  std::string budget;
  std::string listen;
  std::string context;
  std::string slots;
  std::string pressure;
  bool cpu = false;
  bool insecure = false;
  std::string runtime_dir;
  std::string llama_server;
  std::string log_level;
  bool demo = false;  // the demo models' folder and budget, where none is named
};

void add_configuration_flags(CLI::App& command, ConfigurationFlags& flags);

// The whole Config, or an error with every problem in it.
CommandResult<Config> load_configuration(const ConfigurationFlags& flags,
                                         const ConfigInputs& process);

// Arguments of models that belong to tonnage, each with the reason.
std::vector<std::string> governed_args(const Config& config);

// What keeps `serve` from starting although the configuration reads well: those arguments, and
// names to listen on that have no address.
std::vector<std::string> start_errors(const Config& config);
// Variables in models' `env` that have no effect, each with why.
std::vector<std::string> variables_without_effect(const Config& config);

// Models whose file cannot be used; the others serve. Reads the files' headers.
std::vector<std::string> unusable_models(const Config& config);

// Memory of the demo models' budget: room for two of the three, so that the third makes room.
extern const char* const kDemoBudget;

}  // namespace tonnage
