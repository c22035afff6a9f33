// tonnage load, unload, pin, unpin, clear, flush: an operator's commands to the daemon.
#include <cstdio>
#include <memory>

#include "tonnage/client.h"
#include "tonnage/subcommands.h"
#include "tonnage/terminal.h"
#include "tonnage/views.h"

namespace tonnage {
namespace {

struct Control {
  const char* name;
  const char* description;
  const char* method;
  const char* suffix;  // after the model's path
  bool waits;          // as long as a load may take
};

constexpr Control kControls[] = {
    {"load", "Load a model and wait until it is ready", "POST", "/load", true},
    {"unload", "Unload a model", "DELETE", "", true},
    {"pin", "Never evict a model until it is unpinned", "POST", "/pin", false},
    {"unpin", "Let a model be evicted again", "POST", "/unpin", false},
    {"clear", "Forget a model's failures, so that it may use its GPU again", "POST", "/clear",
     false},
};

ExitCode send(const ClientOptions& options, const std::string& method, const std::string& target,
              bool waits) {
  const auto client = DaemonClient::open(options);
  if (!client)
    return complain(client.error());
  // How long a load or a drain may take is the daemon's to say.
  const auto answer = client->send(method, target, waits ? Duration{0} : Duration{30s});
  if (!answer)
    return complain(answer.error());
  const std::string text = options.json ? answer->body.dump(2) + "\n"
                                        : command_view(answer->body, Terminal::of_stdout());
  std::fputs(text.c_str(), stdout);
  return answer->status < 300 ? ExitCode::ok : ExitCode::failed;
}

}  // namespace

void add_controls(CLI::App& app, ExitCode& exit_code) {
  for (const Control& control : kControls) {
    CLI::App* command = app.add_subcommand(control.name, control.description);
    auto options = std::make_shared<ClientOptions>();
    auto model = std::make_shared<std::string>();
    command->add_option("model", *model, "Id or alias of the model")
        ->required()
        ->type_name("MODEL");
    add_client_options(*command, *options);
    command->callback([options, model, &control, &exit_code] {
      exit_code =
          send(*options, control.method, model_path(*model) + control.suffix, control.waits);
    });
  }
  CLI::App* flush = app.add_subcommand("flush", "Unload every model that is idle and not pinned");
  auto options = std::make_shared<ClientOptions>();
  add_client_options(*flush, *options);
  flush->callback(
      [options, &exit_code] { exit_code = send(*options, "POST", "/api/memory/flush", true); });
}

}  // namespace tonnage
