// The subcommands of `tonnage`: each adds itself to the command line and, when chosen, sets the
// exit code.
#pragma once

#include <CLI/CLI.hpp>

#include "tonnage/exit_code.h"

namespace tonnage {

void add_serve(CLI::App& app, ExitCode& exit_code);
void add_status(CLI::App& app, ExitCode& exit_code);
void add_ps(CLI::App& app, ExitCode& exit_code);
void add_controls(CLI::App& app, ExitCode& exit_code);  // load, unload, pin, unpin, clear, flush
void add_why(CLI::App& app, ExitCode& exit_code);
void add_replay(CLI::App& app, ExitCode& exit_code);
void add_reload(CLI::App& app, ExitCode& exit_code);
void add_events(CLI::App& app, ExitCode& exit_code);
void add_history(CLI::App& app, ExitCode& exit_code);
void add_log(CLI::App& app, ExitCode& exit_code);
void add_completion(CLI::App& app, ExitCode& exit_code);
void add_man(CLI::App& app, ExitCode& exit_code);
void add_check(CLI::App& app, ExitCode& exit_code);
void add_doctor(CLI::App& app, ExitCode& exit_code);
void add_version(CLI::App& app, ExitCode& exit_code);

// The whole program. Exit codes as in exit_code.h.
int run_command_line(int argc, const char* const* argv);

}  // namespace tonnage
