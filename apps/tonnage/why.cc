// tonnage why MODEL|REQUEST: what was decided, in sentences, from the daemon or from a journal.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <utility>

#include "api/memory_api.h"
#include "config/load.h"
#include "journal/reader.h"
#include "journal/segment_files.h"
#include "journal/story.h"
#include "tonnage/client.h"
#include "tonnage/replay_journal.h"
#include "tonnage/subcommands.h"
#include "tonnage/terminal.h"
#include "tonnage/views.h"

namespace tonnage {
namespace {

struct WhyOptions {
  ClientOptions client;
  std::string subject;
  std::string journal;
  int limit = 20;
};

// A model's name that is a number is written with its prefix: `tonnage why model:7`.
std::optional<std::uint64_t> request_number(const std::string& subject) {
  const bool digits = !subject.empty() && subject.size() <= 18 &&
                      std::ranges::all_of(subject, [](char c) { return c >= '0' && c <= '9'; });
  return digits ? std::optional(std::stoull(subject)) : std::nullopt;
}

std::string model_name(const std::string& subject) {
  constexpr std::string_view kPrefix = "model:";
  return subject.starts_with(kPrefix) ? subject.substr(kPrefix.size()) : subject;
}

std::optional<ModelId> model_of(const Policy& policy, const std::string& name) {
  const auto found = std::ranges::find(policy.models, name, &ModelPolicy::id);
  if (found == policy.models.end())
    return std::nullopt;
  return ModelId(static_cast<std::uint32_t>(found - policy.models.begin()));
}

std::optional<journal::Story> story_of(const WhyOptions& options, const Policy& policy) {
  if (const auto request = request_number(options.subject))
    return journal::Story::of_request(RequestId(*request), policy);
  if (const auto model = model_of(policy, model_name(options.subject)))
    return journal::Story::of_model(*model, policy);
  return std::nullopt;
}

Json to_json(const journal::Story& story, const api::WallClock& clock, std::size_t limit) {
  Json data = Json::array();
  const auto& lines = story.lines();
  for (std::size_t i = lines.size() - std::min(limit, lines.size()); i < lines.size(); ++i) {
    data.push_back({{"time_ms", clock.unix_ms(lines[i].at)}, {"explain", lines[i].text}});
  }
  return {{"object", "list"}, {"data", std::move(data)}};
}

// The latest run in which the subject occurred; numbers and ids mean something else in each.
CommandResult<Json> from_journal(const WhyOptions& options) {
  Json told = {{"object", "list"}, {"data", Json::array()}};
  std::optional<journal::Story> story;
  std::string run;
  api::WallClock clock;
  std::int64_t zero = 0;  // of the segment before
  const auto keep = [&] {
    if (story && !story->lines().empty())
      told = to_json(*story, clock, static_cast<std::size_t>(options.limit));
  };
  for (const auto& file : journal_files(options.journal)) {
    auto reader = journal::SegmentReader::open(file);
    if (!reader)
      return std::unexpected(CommandError{ExitCode::usage, reader.error().text()});
    const journal::SegmentHeader& header = reader->header();
    if (header.run != run || !story) {
      keep();
      story = story_of(options, header.state.policy);
      run = header.run;
      zero = header.unix_us_at_zero;
      clock = {zero, {}};
    }
    bool first = true;
    while (true) {
      const auto step = reader->next();
      if (!step)
        return std::unexpected(CommandError{ExitCode::usage, step.error().text()});
      if (!*step)
        break;
      if (std::exchange(first, false) && zero != header.unix_us_at_zero)
        clock.moved((*step)->at, zero = header.unix_us_at_zero);
      const auto* changed = std::get_if<PolicyChanged>(&(*step)->event);
      if (!story && changed != nullptr)
        story = story_of(options, changed->policy);
      if (story)
        story->take(**step);
    }
  }
  keep();
  return told;
}

CommandResult<Json> from_daemon(const WhyOptions& options) {
  const auto client = DaemonClient::open(options.client);
  if (!client)
    return std::unexpected(client.error());
  const std::string target =
      request_number(options.subject)
          ? "/api/memory/requests/" + options.subject
          : "/api/memory/events?model=" + percent_encoded(model_name(options.subject)) +
                "&limit=" + std::to_string(options.limit);
  auto answer = client->get(target);
  if (!answer)
    return std::unexpected(answer.error());
  return std::move(answer->body);
}

ExitCode run(const WhyOptions& options) {
  const auto told = options.journal.empty() ? from_daemon(options) : from_journal(options);
  if (!told)
    return complain(told.error());
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  const std::string text = options.client.json
                               ? told->dump(2) + "\n"
                               : why_view(options.subject, *told, now_ms, Terminal::of_stdout());
  std::fputs(text.c_str(), stdout);
  return ExitCode::ok;
}

}  // namespace

void add_why(CLI::App& app, ExitCode& exit_code) {
  CLI::App* command = app.add_subcommand(
      "why", "Say what was decided about a model, or what happened to a request, and why");
  auto options = std::make_shared<WhyOptions>();
  command
      ->add_option(
          "model|request", options->subject,
          "Id or alias of the model, or the number in an answer's x-tonnage-request header")
      ->required()
      ->type_name("MODEL");
  command->add_option("-n,--limit", options->limit, "How many decisions; the newest come last")
      ->capture_default_str()
      ->check(CLI::Range(1, 2'000))
      ->type_name("N");
  command
      ->add_option("--journal", options->journal,
                   "Read this journal, a file or STATE_DIR/journal, instead of asking the daemon")
      ->type_name("FILE");
  add_client_options(*command, options->client);
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tonnage
