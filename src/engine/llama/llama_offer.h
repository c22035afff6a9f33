// LlamaOffer: which llama-server is used, by what the candidates say of themselves at the start.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/llama/llama.h"

namespace tonnage {

// Flags that tonnage starts servers with.
std::span<const std::string_view> needed_flags();

// Which of them a help text lacks. Empty as well where the text is no help of a llama-server, from
// which nothing follows.
std::vector<std::string> missing_flags(std::string_view help);

struct LlamaChoice {
  LlamaPrograms programs;
  std::vector<std::string> missing;  // flags that it lacks: its models will not start
  std::vector<std::string> notes;    // for people: what was passed over, and what is missing
};

// What `llama-server --help` prints, or why it does not.
using AskHelp = std::function<Result<std::string>(const std::filesystem::path& server)>;

// The configured program as it is; else the one on PATH, unless it lacks needed flags or does not
// run and the cached build is there.
Result<LlamaChoice> choose_llama(const LlamaSearch& search, const AskHelp& ask);

// Blocks, for kHelpMax at most: not for the loop.
AskHelp ask_help(std::vector<std::string> env);

}  // namespace tonnage
