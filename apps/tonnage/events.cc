// tonnage events: what the daemon decides, as it decides it.
#include <poll.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <optional>

#include "tonnage/client.h"
#include "tonnage/event_stream.h"
#include "tonnage/fields.h"
#include "tonnage/output.h"
#include "tonnage/subcommands.h"
#include "tonnage/terminal.h"
#include "tonnage/views.h"

namespace tonnage {
namespace {

// Between two looks whether the daemon is back.
constexpr int kRetryMs = 1000;

struct EventsOptions {
  ClientOptions client;
  std::string model;
  int limit = 20;
  bool follow = false;
};

std::string target_of(const EventsOptions& options) {
  return "/api/memory/events?limit=" + std::to_string(options.limit) +
         "&model=" + percent_encoded(options.model) + (options.follow ? "&follow=1" : "");
}

class Printer {
 public:
  explicit Printer(bool json) : json_(json), terminal_(Terminal::of_stdout()) {}

  // One event of a stream; false when nobody can read it any more.
  bool print(const StreamEvent& event) const {
    const Json decision = Json::parse(event.data, nullptr, false);
    if (decision.is_discarded())
      return true;
    const std::int64_t now_s = std::time(nullptr);
    return print_now(json_ ? decision.dump() + "\n"
                           : event_line(decision, now_s, system_local_time, terminal_));
  }

  void print_list(const Json& list) const {
    if (json_) {
      std::printf("%s\n", list.dump(2).c_str());
      return;
    }
    std::string text;
    for (const Json& decision : list_field(list, "data"))
      text += event_line(decision, std::time(nullptr), system_local_time, terminal_);
    std::fputs(text.empty() ? "nothing was decided yet\n" : text.c_str(), stdout);
  }

 private:
  bool json_;
  Terminal terminal_;
};

ExitCode show(const EventsOptions& options, const DaemonClient& client, const Printer& printer) {
  const auto answer = client.get(target_of(options));
  if (!answer)
    return complain(answer.error());
  printer.print_list(answer->body);
  return ExitCode::ok;
}

// Ends when the daemon says no; a daemon that goes away is waited for.
ExitCode follow(const EventsOptions& options, const DaemonClient& client, const Printer& printer) {
  EventStreamReader reader;
  bool seen = false;
  bool waiting = false;
  bool open = true;
  for (;;) {
    reader.restart();
    const auto ended =
        client.stream(target_of(options), reader.last_id(), [&](std::string_view piece) {
          if (std::exchange(waiting, false))
            std::fprintf(stderr, "tonnage: the daemon is back\n");
          seen = true;
          for (const StreamEvent& event : reader.feed(piece))
            open = open && printer.print(event);
          return open;
        });
    if (!open)
      return ExitCode::failed;
    // An answer of another status, or nobody there from the beginning.
    if (!ended && (ended.error().code != ExitCode::unreachable || !seen))
      return complain(ended.error());
    if (!std::exchange(waiting, true))
      std::fprintf(stderr, "tonnage: the daemon has gone; waiting until it is back\n");
    ::poll(nullptr, 0, kRetryMs);
  }
}

ExitCode run(const EventsOptions& options) {
  const auto client = DaemonClient::open(options.client);
  if (!client)
    return complain(client.error());
  const Printer printer(options.client.json);
  return options.follow ? follow(options, *client, printer) : show(options, *client, printer);
}

}  // namespace

void add_events(CLI::App& app, ExitCode& exit_code) {
  CLI::App* command =
      app.add_subcommand("events", "Show what was decided, over all models or about one");
  auto options = std::make_shared<EventsOptions>();
  command->add_flag("-f,--follow", options->follow,
                    "Go on as new decisions are made; waits for a daemon that is started anew");
  command->add_option("--model", options->model, "Only decisions about this model")
      ->type_name("MODEL");
  command->add_option("-n,--limit", options->limit, "How many to begin with; the newest come last")
      ->capture_default_str()
      ->check(CLI::Range(1, 2'000))
      ->type_name("N");
  add_client_options(*command, options->client);
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tonnage
