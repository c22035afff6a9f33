// tonnage log: which lines the daemon writes to its own log, and changing that while it runs.
#include <cstdio>
#include <memory>

#include "tonnage/client.h"
#include "tonnage/fields.h"
#include "tonnage/subcommands.h"

namespace tonnage {
namespace {

struct LogOptions {
  ClientOptions client;
  std::string level;
};

ExitCode run(const LogOptions& options) {
  const auto client = DaemonClient::open(options.client);
  if (!client)
    return complain(client.error());
  constexpr const char* kPath = "/api/memory/log";
  const auto answer = options.level.empty() ? client->get(kPath)
                                            : client->send("PUT", kPath, Duration{10s},
                                                           Json{{"level", options.level}}.dump());
  if (!answer)
    return complain(answer.error());
  if (options.client.json) {
    std::printf("%s\n", answer->body.dump(2).c_str());
  } else {
    std::printf("level %s, format %s\n", text_field(answer->body, "level").c_str(),
                text_field(answer->body, "format").c_str());
  }
  return ExitCode::ok;
}

}  // namespace

void add_log(CLI::App& app, ExitCode& exit_code) {
  CLI::App* command =
      app.add_subcommand("log", "Show or set how much the running daemon writes to its log");
  auto options = std::make_shared<LogOptions>();
  command->add_option("level", options->level, "The least severe line that is written from now on")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->type_name("LEVEL");
  add_client_options(*command, options->client);
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tonnage
