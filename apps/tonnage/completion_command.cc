// tonnage completion, tonnage man: what the command line says about itself, for shells and for
// man(1).
#include <cstdio>
#include <memory>

#include "tonnage/client.h"
#include "tonnage/completion.h"
#include "tonnage/fields.h"
#include "tonnage/manual.h"
#include "tonnage/subcommands.h"

namespace tonnage {
namespace {

// Ids and aliases, one a line. Within a completion there is nobody to read an error.
void print_models() {
  const auto client = DaemonClient::open(ClientOptions{});
  if (!client)
    return;
  const auto answer = client->get("/api/memory/models", 1s);
  if (!answer)
    return;
  std::string text;
  for (const Json& model : list_field(answer->body, "data")) {
    text += text_field(model, "id") + "\n";
    for (const Json& alias : list_field(model, "aliases")) {
      if (alias.is_string())
        text += alias.get<std::string>() + "\n";
    }
  }
  std::fputs(text.c_str(), stdout);
}

struct CompletionOptions {
  std::string shell;
  bool models = false;
};

ExitCode complete(const CLI::App& app, const CompletionOptions& options) {
  if (options.models) {
    print_models();
    return ExitCode::ok;
  }
  if (options.shell.empty())
    return complain({ExitCode::usage, "which shell? one of bash, zsh or fish"});
  const CommandDoc program = command_doc(app);
  const std::string script = options.shell == "bash"  ? bash_completion(program)
                             : options.shell == "zsh" ? zsh_completion(program)
                                                      : fish_completion(program);
  std::fputs(script.c_str(), stdout);
  return ExitCode::ok;
}

}  // namespace

void add_completion(CLI::App& app, ExitCode& exit_code) {
  CLI::App* command =
      app.add_subcommand("completion", "Print what makes a shell complete tonnage's commands");
  auto options = std::make_shared<CompletionOptions>();
  command->add_option("shell", options->shell, "The shell that is to complete")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->type_name("SHELL");
  // Asked by the scripts themselves.
  command->add_flag("--models", options->models)->group("");
  command->callback([&app, options, &exit_code] { exit_code = complete(app, *options); });
}

void add_man(CLI::App& app, ExitCode& exit_code) {
  CLI::App* command = app.add_subcommand("man", "Print the manual page, for man(1) to show");
  command->callback([&app, &exit_code] {
    std::fputs(manual_page(command_doc(app), TONNAGE_VERSION).c_str(), stdout);
    exit_code = ExitCode::ok;
  });
}

}  // namespace tonnage
