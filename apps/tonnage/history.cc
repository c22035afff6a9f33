// tonnage history: memory over time, from the daemon or, where none runs, from its file.
#include <chrono>
#include <cstdio>
#include <memory>

#include "daemon/history_view.h"
#include "tonnage/client.h"
#include "tonnage/history_view.h"
#include "tonnage/subcommands.h"
#include "tonnage/terminal.h"

namespace tonnage {
namespace {

struct HistoryOptions {
  ClientOptions client;
  std::string since = "1h";
  std::string step;
  std::string model;
  std::string file;
};

struct Range {
  Duration since;
  Duration step;
};

CommandResult<Duration> duration_of(const char* flag, const std::string& text) {
  const auto parsed = parse_duration(text);
  if (!parsed)
    return std::unexpected(
        CommandError{ExitCode::usage, std::string(flag) + ": " + parsed.error().text()});
  if (*parsed < 1s) {
    return std::unexpected(
        CommandError{ExitCode::usage, std::string(flag) + ": " + text + " is shorter than 1s"});
  }
  return *parsed;
}

CommandResult<Range> range_of(const HistoryOptions& options) {
  const auto since = duration_of("--since", options.since);
  if (!since)
    return std::unexpected(since.error());
  // Programs get all there is, people a screenful.
  Range range{*since, options.client.json ? Duration{10s} : readable_step(*since)};
  if (!options.step.empty()) {
    const auto step = duration_of("--step", options.step);
    if (!step)
      return std::unexpected(step.error());
    range.step = *step;
  }
  return range;
}

// Where the daemon of this user keeps its history.
std::filesystem::path usual_file() {
  const ConfigInputs process = inputs_of_process();
  std::error_code error;
  const auto usual = default_config_file(process.environment);
  if (std::filesystem::exists(usual, error)) {
    if (const auto config = load_config(usual, process))
      return history_file(config->state_dir);
  }
  const auto runtime = default_runtime_dir(process.environment, process.uid);
  return history_file(default_state_dir(process.environment, runtime));
}

CommandResult<Json> read_file(const std::filesystem::path& file, const Range& range,
                              const HistoryOptions& options) {
  const auto failed = [](const Error& error) {
    return std::unexpected(CommandError{ExitCode::failed, error.text()});
  };
  auto store = HistoryStore::open_to_read(file, {});
  if (!store)
    return failed(store.error().error);
  const auto seconds = [](Duration d) {
    return std::chrono::duration_cast<std::chrono::seconds>(d).count();
  };
  HistoryQuery query;
  query.until_s = seconds(std::chrono::duration_cast<Duration>(
                      std::chrono::system_clock::now().time_since_epoch())) +
                  1;
  query.since_s = query.until_s - seconds(range.since);
  query.step_s = seconds(range.step);
  if (!options.model.empty())
    query.model = options.model;
  const auto answer = store->query(query);
  if (!answer)
    return failed(answer.error().error);
  if (!answer->model_known) {
    return std::unexpected(CommandError{ExitCode::unknown_model,
                                        file.string() + " knows no model '" + options.model + "'"});
  }
  return Json::parse(history_json(*answer, query));
}

CommandResult<Json> ask_daemon(const Range& range, const HistoryOptions& options) {
  const auto client = DaemonClient::open(options.client);
  if (!client)
    return std::unexpected(client.error());
  const auto answer = client->get(
      "/api/memory/history?since=" + percent_encoded(to_text(range.since)) +
      "&step=" + percent_encoded(to_text(range.step)) + "&model=" + percent_encoded(options.model));
  if (!answer)
    return std::unexpected(answer.error());
  return answer->body;
}

CommandResult<Json> find_history(const Range& range, const HistoryOptions& options) {
  if (!options.file.empty())
    return read_file(options.file, range, options);
  auto answer = ask_daemon(range, options);
  const bool elsewhere = !options.client.url.empty() || !options.client.runtime_dir.empty();
  if (answer || answer.error().code != ExitCode::unreachable || elsewhere)
    return answer;
  // What the daemon of this user wrote while it ran.
  const std::filesystem::path file = usual_file();
  std::error_code error;
  if (!std::filesystem::exists(file, error))
    return answer;
  std::fprintf(stderr, "tonnage: no daemon answers; this is from %s\n", file.c_str());
  return read_file(file, range, options);
}

ExitCode run(const HistoryOptions& options) {
  const auto range = range_of(options);
  if (!range)
    return complain(range.error());
  const auto history = find_history(*range, options);
  if (!history)
    return complain(history.error());
  const std::string text =
      options.client.json
          ? history->dump(2) + "\n"
          : history_view(*history, range->since, system_local_time, Terminal::of_stdout());
  std::fputs(text.c_str(), stdout);
  return ExitCode::ok;
}

}  // namespace

void add_history(CLI::App& app, ExitCode& exit_code) {
  CLI::App* command = app.add_subcommand("history", "Show memory over time");
  auto options = std::make_shared<HistoryOptions>();
  command->add_option("--since", options->since, "How far back, such as 30m, 12h or 7d")
      ->capture_default_str()
      ->type_name("DURATION");
  command->add_option("--step", options->step, "Time of one row; by default a screenful of rows")
      ->type_name("DURATION");
  command->add_option("--model", options->model, "Only this model")->type_name("MODEL");
  command->add_option("--file", options->file, "Read this file instead of asking the daemon")
      ->type_name("FILE");
  add_client_options(*command, options->client);
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tonnage
