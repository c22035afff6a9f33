// tonnage reload: have the daemon read its configuration again.
#include <cstdio>
#include <memory>

#include "tonnage/client.h"
#include "tonnage/subcommands.h"
#include "tonnage/terminal.h"
#include "tonnage/views.h"

namespace tonnage {
namespace {

ExitCode run(const ClientOptions& options) {
  const auto client = DaemonClient::open(options);
  if (!client)
    return complain(client.error());
  const auto answer = client->send("POST", "/api/memory/reload", Duration{30s});
  if (!answer)
    return complain(answer.error());
  const std::string text = options.json ? answer->body.dump(2) + "\n" : reload_view(answer->body);
  std::fputs(text.c_str(), stdout);
  return ExitCode::ok;
}

}  // namespace

void add_reload(CLI::App& app, ExitCode& exit_code) {
  CLI::App* command = app.add_subcommand(
      "reload", "Apply a changed configuration; only models that changed are replaced");
  auto options = std::make_shared<ClientOptions>();
  add_client_options(*command, *options);
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tonnage
