// vramd why MODEL: the latest decisions about a model, in sentences.
#include <chrono>
#include <cstdio>
#include <memory>

#include "vramd/client.h"
#include "vramd/subcommands.h"
#include "vramd/terminal.h"
#include "vramd/views.h"

namespace vramd {
namespace {

struct WhyOptions {
  ClientOptions client;
  std::string model;
  int limit = 20;
};

ExitCode run(const WhyOptions& options) {
  const auto client = DaemonClient::open(options.client);
  if (!client)
    return complain(client.error());
  const auto answer = client->get("/api/memory/events?model=" + percent_encoded(options.model) +
                                  "&limit=" + std::to_string(options.limit));
  if (!answer)
    return complain(answer.error());
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  const std::string text =
      options.client.json ? answer->body.dump(2) + "\n"
                          : why_view(options.model, answer->body, now_ms, Terminal::of_stdout());
  std::fputs(text.c_str(), stdout);
  return ExitCode::ok;
}

}  // namespace

void add_why(CLI::App& app, ExitCode& exit_code) {
  CLI::App* command = app.add_subcommand("why", "Say what was decided about a model, and why");
  auto options = std::make_shared<WhyOptions>();
  command->add_option("model", options->model, "Id or alias of the model")->required();
  command->add_option("-n,--limit", options->limit, "How many decisions; the newest come last")
      ->capture_default_str()
      ->check(CLI::Range(1, 2'000));
  add_client_options(*command, options->client);
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace vramd
