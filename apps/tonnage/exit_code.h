// ExitCode and CommandError: how a subcommand ends, documented in --help and
// docs/howto/configure.md.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "config/problem.h"

namespace tonnage {

enum class ExitCode : std::uint8_t {
  ok = 0,
  failed = 1,         // it failed, or the daemon refused
  usage = 2,          // wrong usage, or a mistake in the configuration
  unreachable = 3,    // no daemon answers
  unknown_model = 4,  // no model of that name
};

struct ExitCodeDoc {
  ExitCode code;
  const char* meaning;  // for the manual page
};
inline constexpr ExitCodeDoc kExitCodeDocs[] = {
    {ExitCode::ok, "Done."},
    {ExitCode::failed, "It failed, or the daemon refused; the reason is on standard error."},
    {ExitCode::usage, "Wrong usage, or a mistake in the configuration."},
    {ExitCode::unreachable, "No daemon answers."},
    {ExitCode::unknown_model, "There is no model of that name."},
};

// Shown at the end of every --help: the same, short.
inline constexpr const char* kExitCodes =
    "Exit codes: 0 done, 1 failed or refused, 2 wrong usage or configuration,\n"
    "            3 no daemon answers, 4 unknown model.";

struct CommandError {
  ExitCode code = ExitCode::failed;
  std::string text;  // a whole sentence or more, without a newline at the end
  // Of a configuration: what `text` says, one by one.
  std::vector<Problem> problems{};
};

template <typename T>
using CommandResult = std::expected<T, CommandError>;

// Prints "tonnage: TEXT" on stderr and returns the code.
ExitCode complain(const CommandError& error);

}  // namespace tonnage
