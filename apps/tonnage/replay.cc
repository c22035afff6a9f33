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

std::vector<std::filesystem::path> files_of(const ReplayOptions& options) {
  std::vector<std::filesystem::path> files;
  for (const std::string& name : options.files) {
    for (std::filesystem::path& file : journal_files(name))
      files.push_back(std::move(file));
  }
  if (options.files.empty()) {
    const ConfigInputs process = inputs_of_process();
    return journal::segments_in(journal::journal_folder(default_state_dir(
        process.environment, default_runtime_dir(process.environment, process.uid))));
  }
  return files;
}

ExitCode run(const ReplayOptions& options) {
  const auto files = files_of(options);
  if (files.empty()) {
    return complain({ExitCode::usage,
                     "there is no journal to replay: name a file, or the folder STATE_DIR/journal "
                     "of a daemon"});
  }
  const auto report = replay_journal(files);
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
                   "Segments, or a folder of them; the default is the journal of this user's "
                   "daemon")
      ->type_name("FILE");
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tonnage
