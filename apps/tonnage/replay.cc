// tonnage replay: runs a recorded journal through the core again; there must be no difference.
#include <cstdio>
#include <memory>

#include "config/load.h"
#include "journal/segment_files.h"
#include "tonnage/client.h"
#include "tonnage/replay_journal.h"
#include "tonnage/subcommands.h"

namespace tonnage {
namespace {

struct ReplayOptions {
  std::vector<std::string> files;
  std::string config;
  bool json = false;
};

void print(const Difference& difference) {
  std::printf("%s:%llu: step %llu: %s\n", difference.file.c_str(),
              static_cast<unsigned long long>(difference.line),
              static_cast<unsigned long long>(difference.step), difference.text.c_str());
  if (!difference.event.empty())
    std::printf("  event     %s\n", difference.event.c_str());
  for (const std::string& action : difference.recorded)
    std::printf("  recorded  %s\n", action.c_str());
  for (const std::string& action : difference.replayed)
    std::printf("  replayed  %s\n", action.c_str());
}

Json to_json(const ReplayReport& report) {
  Json json;
  json["segments"] = report.segments;
  json["steps"] = report.steps;
  json["actions"] = report.actions;
  json["notes"] = report.notes;
  json["difference"] = nullptr;
  if (report.difference) {
    const Difference& d = *report.difference;
    json["difference"] = {{"file", d.file},        {"line", d.line},   {"step", d.step},
                          {"text", d.text},        {"event", d.event}, {"recorded", d.recorded},
                          {"replayed", d.replayed}};
  }
  return json;
}

// Where this user's daemon keeps its journal: as its configuration says.
CommandResult<std::filesystem::path> usual_journal(const ReplayOptions& options) {
  const ConfigInputs process = inputs_of_process();
  std::filesystem::path file = options.config;
  std::error_code error;
  if (file.empty() && (process.environment.contains("TONNAGE_CONFIG") ||
                       std::filesystem::exists(default_config_file(process.environment), error)))
    file = default_config_file(process.environment);
  if (file.empty()) {
    return journal::journal_folder(default_state_dir(
        process.environment, default_runtime_dir(process.environment, process.uid)));
  }
  const auto config = load_config(file, process);
  if (!config) {
    return std::unexpected(
        CommandError{ExitCode::usage, file.string() +
                                          " cannot be used, so its state_dir is not "
                                          "known; name the journal\n" +
                                          config.error().text()});
  }
  return journal::journal_folder(config->state_dir);
}

CommandResult<std::vector<std::filesystem::path>> files_of(const ReplayOptions& options) {
  std::vector<std::filesystem::path> files;
  if (options.files.empty()) {
    const auto folder = usual_journal(options);
    if (!folder)
      return std::unexpected(folder.error());
    files = journal::segments_in(*folder);
    if (files.empty())
      return std::unexpected(CommandError{
          ExitCode::usage, "there is no journal in " + folder->string() +
                               ": name a file, or the folder STATE_DIR/journal of a daemon"});
  }
  for (const std::string& name : options.files) {
    for (std::filesystem::path& file : journal_files(name))
      files.push_back(std::move(file));
  }
  if (files.empty())
    return std::unexpected(
        CommandError{ExitCode::usage, "there are no segments in " + options.files.front()});
  return files;
}

ExitCode run(const ReplayOptions& options) {
  const auto files = files_of(options);
  if (!files)
    return complain(files.error());
  const auto report = replay_journal(*files);
  if (!report)
    return complain({ExitCode::usage, report.error().text()});
  if (options.json) {
    std::printf("%s\n", to_json(*report).dump(2).c_str());
  } else {
    for (const std::string& note : report->notes)
      std::printf("note: %s\n", note.c_str());
    if (report->difference)
      print(*report->difference);
    std::printf("replayed %llu steps of %llu segments with %llu actions: %s\n",
                static_cast<unsigned long long>(report->steps),
                static_cast<unsigned long long>(report->segments),
                static_cast<unsigned long long>(report->actions),
                report->difference ? "different" : "all the same");
  }
  return report->difference ? ExitCode::failed : ExitCode::ok;
}

}  // namespace

void add_replay(CLI::App& app, ExitCode& exit_code) {
  CLI::App* command =
      app.add_subcommand("replay", "Run a recorded journal through the core again and compare");
  auto options = std::make_shared<ReplayOptions>();
  command
      ->add_option("files", options->files,
                   "Segments, or a folder of them; the default is the journal in the configured "
                   "state_dir")
      ->type_name("FILE");
  command
      ->add_option("--config", options->config,
                   "Configuration that names state_dir ($TONNAGE_CONFIG, "
                   "~/.config/tonnage/tonnage.yaml)")
      ->type_name("FILE");
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tonnage
