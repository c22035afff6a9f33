// run_command_line: the subcommands as one program.
#include <cstdio>
#include <exception>

#include "vramd/subcommands.h"

namespace vramd {

int run_command_line(int argc, const char* const* argv) {
  CLI::App app("The memory governor for local AI: many models, one memory budget.", "vramd");
  app.require_subcommand(1);
  app.footer(kExitCodes);
  app.set_version_flag("--version", "vramd " VRAMD_VERSION);
  ExitCode exit_code = ExitCode::ok;
  add_serve(app, exit_code);
  add_status(app, exit_code);
  add_ps(app, exit_code);
  add_controls(app, exit_code);
  add_why(app, exit_code);
  add_replay(app, exit_code);
  add_reload(app, exit_code);
  add_log(app, exit_code);
  add_check(app, exit_code);
  add_doctor(app, exit_code);
  add_version(app, exit_code);
  for (CLI::App* command : app.get_subcommands({}))
    command->footer(kExitCodes);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {  // --help and --version
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    app.exit(e);
    return static_cast<int>(ExitCode::usage);
  } catch (const std::exception& e) {
    // Out of memory, or a defect; nothing of ours throws.
    return static_cast<int>(complain({ExitCode::failed, e.what()}));
  }
  return static_cast<int>(exit_code);
}

}  // namespace vramd
