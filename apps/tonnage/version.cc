// tonnage version: the program and the engine build that belongs to it.
#include <cstdio>
#include <memory>

#include "tonnage/client.h"
#include "tonnage/subcommands.h"

namespace tonnage {

void add_version(CLI::App& app, ExitCode& exit_code) {
  CLI::App* command = app.add_subcommand("version", "Print the version");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "Print it as JSON");
  command->callback([json, &exit_code] {
    if (*json) {
      const Json version = {{"version", TONNAGE_VERSION}, {"engine_build", TONNAGE_ENGINE_KEY}};
      std::printf("%s\n", version.dump(2).c_str());
    } else {
      std::printf("tonnage %s (engine build %s)\n", TONNAGE_VERSION, TONNAGE_ENGINE_KEY);
    }
    exit_code = ExitCode::ok;
  });
}

}  // namespace tonnage
