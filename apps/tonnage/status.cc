// tonnage status: pools, all models and what is wrong.
#include <cstdio>
#include <memory>

#include "tonnage/client.h"
#include "tonnage/subcommands.h"
#include "tonnage/terminal.h"
#include "tonnage/views.h"

namespace tonnage {
namespace {

ExitCode run(const ClientOptions& options, std::string (*view)(const Json&, const Terminal&)) {
  const auto client = DaemonClient::open(options);
  if (!client)
    return complain(client.error());
  const auto answer = client->get("/api/memory/status");
  if (!answer)
    return complain(answer.error());
  const std::string text =
      options.json ? answer->body.dump(2) + "\n" : view(answer->body, Terminal::of_stdout());
  std::fputs(text.c_str(), stdout);
  return ExitCode::ok;
}

void add(CLI::App& app, ExitCode& exit_code, const char* name, const char* description,
         std::string (*view)(const Json&, const Terminal&)) {
  CLI::App* command = app.add_subcommand(name, description);
  auto options = std::make_shared<ClientOptions>();
  add_client_options(*command, *options);
  command->callback([options, view, &exit_code] { exit_code = run(*options, view); });
}

}  // namespace

void add_status(CLI::App& app, ExitCode& exit_code) {
  add(app, exit_code, "status", "Show memory, all models, and what is wrong", status_view);
}

void add_ps(CLI::App& app, ExitCode& exit_code) {
  add(app, exit_code, "ps", "Show the running models and their memory", ps_view);
}

}  // namespace tonnage
