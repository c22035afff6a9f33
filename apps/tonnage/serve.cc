// tonnage serve: the daemon in the foreground.
#include <cstdio>
#include <memory>
#include <utility>

#include "daemon/daemon.h"
#include "tonnage/configuration.h"
#include "tonnage/subcommands.h"

namespace tonnage {
namespace {

ExitCode run(const ConfigurationFlags& flags, bool examples) {
  auto config = load_configuration(flags, inputs_of_process());
  if (!config)
    return complain(config.error());
  // Flags that would undo what tonnage promises are mistakes in the configuration; a model file
  // that cannot be read is said when the model is asked for.
  if (const auto errors = start_errors(*config); !errors.empty()) {
    for (const std::string& error : errors)
      complain({ExitCode::usage, error});
    return ExitCode::usage;
  }
  for (std::string& warning : variables_without_effect(*config))
    config->warnings.push_back(std::move(warning));
  ServeOptions options;
  options.tour = flags.demo ? Tour::demo : examples ? Tour::models : Tour::none;
  options.reload = [flags]() -> std::expected<Config, std::string> {
    auto next = load_configuration(flags, inputs_of_process());
    if (!next)
      return std::unexpected(next.error().text);
    std::string problems;
    for (const std::string& error : governed_args(*next))
      problems += (problems.empty() ? "" : "\n") + error;
    if (!problems.empty())
      return std::unexpected(problems);
    return std::move(*next);
  };
  const int status = run_daemon(*config, options);
  return status == 0 ? ExitCode::ok : status == 2 ? ExitCode::usage : ExitCode::failed;
}

}  // namespace

void add_serve(CLI::App& app, ExitCode& exit_code) {
  CLI::App* command = app.add_subcommand("serve", "Serve models within a memory budget");
  auto flags = std::make_shared<ConfigurationFlags>();
  add_configuration_flags(*command, *flags);
  command->add_flag("--demo", flags->demo,
                    "Serve the demo models, which speak nonsense, and print requests to try");
  auto examples = std::make_shared<bool>(false);
  command->add_flag("--examples", *examples, "Print a request to try for each model");
  command->callback([flags, examples, &exit_code] { exit_code = run(*flags, *examples); });
}

}  // namespace tonnage
