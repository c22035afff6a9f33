// CommandDoc: what the command line offers, read from the very CLI11 tree that parses it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

namespace tonnage {

struct OptionDoc {
  std::vector<std::string> names;    // "-n", "--limit"; of a positional its one name, "model"
  std::string value;                 // "FILE"; empty for a flag
  std::vector<std::string> choices;  // the values that are allowed, where they can be listed
  std::string fallback;              // the default, where the help shows one
  std::string description;
  bool positional = false;
  bool required = false;
};

// What is hidden from the help is not in it.
struct CommandDoc {
  std::string name;
  std::string description;
  std::string group;  // the heading under which --help lists it
  std::vector<OptionDoc> options;
  std::vector<CommandDoc> commands;
};

CommandDoc command_doc(const CLI::App& app);

// The kinds of values that a shell can complete; everything else is the user's to know.
inline constexpr std::string_view kModelValue = "MODEL";
inline constexpr std::string_view kFileValue = "FILE";
inline constexpr std::string_view kFolderValue = "DIR";

}  // namespace tonnage
