// Command words: what may stand in the `command` of a model, and what its variables become.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/value.h"

namespace tonnage {

inline constexpr std::string_view kPortWord = "PORT";
inline constexpr std::string_view kSocketWord = "SOCKET";
inline constexpr std::string_view kModelWord = "MODEL";
inline constexpr std::string_view kGpusWord = "GPU_UUIDS";

// What is wrong with where a model comes from (`memory_named`: the key is there, right or wrong),
// each as "command: ...", to be put behind the model's name. Also makes paths of the command
// absolute: `~` at the beginning of a word is the home folder, and a program that is named with a
// '/' is relative to the configuration's folder. Takes the default context away: what such a server
// takes nobody knows.
std::vector<std::string> source_problems(ModelConfig& model, const PathBase& paths,
                                         bool memory_named);

// Whether a word of the command has this variable in it.
bool uses_word(const std::vector<std::string>& command, std::string_view variable);

// The command with its variables replaced. Whatever a value holds is one word, or part of one.
std::vector<std::string> replaced_words(
    const std::vector<std::string>& command,
    const std::map<std::string, std::string, std::less<>>& values);

}  // namespace tonnage
