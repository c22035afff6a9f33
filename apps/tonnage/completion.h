// Shell completion of `tonnage`, made from the command line itself.
#pragma once

#include <string>

#include "tonnage/command_doc.h"

namespace tonnage {

// Each is a whole script: to be sourced, or put where the shell looks for completions. Ids of
// models are asked of the running daemon when they are needed.
std::string bash_completion(const CommandDoc& program);
std::string zsh_completion(const CommandDoc& program);
std::string fish_completion(const CommandDoc& program);

}  // namespace tonnage
