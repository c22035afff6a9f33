// run_command_line: the subcommands as one program.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/problem.h"
#include "tonnage/command_doc.h"
#include "tonnage/output.h"
#include "tonnage/subcommands.h"

namespace tonnage {
namespace {

// Where --help lists a subcommand; one that is not named here comes first, under "Subcommands".
constexpr std::pair<const char*, const char*> kGroups[] = {
    {"serve", "Run"},     {"check", "Run"},      {"doctor", "Run"},  {"status", "Look"},
    {"ps", "Look"},       {"why", "Look"},       {"events", "Look"}, {"history", "Look"},
    {"load", "Control"},  {"unload", "Control"}, {"pin", "Control"}, {"unpin", "Control"},
    {"clear", "Control"}, {"flush", "Control"},  {"log", "Control"}, {"reload", "Control"},
    {"replay", "Look"},   {"version", "About"},  {"man", "About"},   {"completion", "About"}};

CLI::App* subcommand(CLI::App& app, const std::string& name) {
  const auto found =
      app.get_subcommands([&](CLI::App* command) { return command->get_name() == name; });
  return found.empty() ? nullptr : found.front();
}

void add_subcommands(CLI::App& app, ExitCode& exit_code) {
  add_serve(app, exit_code);
  add_check(app, exit_code);
  add_doctor(app, exit_code);
  add_status(app, exit_code);
  add_ps(app, exit_code);
  add_why(app, exit_code);
  add_events(app, exit_code);
  add_history(app, exit_code);
  add_replay(app, exit_code);
  add_controls(app, exit_code);
  add_reload(app, exit_code);
  add_log(app, exit_code);
  add_version(app, exit_code);
  add_man(app, exit_code);
  add_completion(app, exit_code);
  for (CLI::App* command : app.get_subcommands({}))
    command->footer(kExitCodes);
  for (const auto& [name, group] : kGroups) {
    if (CLI::App* command = subcommand(app, name))
      command->group(group);
  }
}

// "tonnage help load" for those who try it.
std::vector<std::string> arguments_of(int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && arguments.front() == "help") {
    arguments.erase(arguments.begin());
    arguments.emplace_back("--help");
  }
  return arguments;
}

std::vector<std::string> names_of(const CommandDoc& command, bool options) {
  std::vector<std::string> names;
  for (const CommandDoc& one : command.commands) {
    if (!options)
      names.push_back(one.name);
  }
  for (const OptionDoc& one : command.options) {
    if (options && !one.positional)
      names.insert(names.end(), one.names.begin(), one.names.end());
  }
  return names;
}

ExitCode wrong_usage(const std::string& what, const std::string& command) {
  return complain({ExitCode::usage, what + "\n'" + command + " --help' says what there is"});
}

// CLI11's own words where we know no better ones.
ExitCode wrong_usage(const CLI::App& app, const std::string& why) {
  const auto parsed = app.get_subcommands();
  if (parsed.empty())
    return wrong_usage(why, "tonnage");
  const CLI::App& command = *parsed.front();
  const std::string name = "tonnage " + command.get_name();
  const auto extra = command.remaining();
  if (extra.empty())
    return wrong_usage(command.get_name() + ": " + why, name);
  const auto known = names_of(command_doc(command), true);
  return wrong_usage(command.get_name() + ": " + in_quotes(extra.front()) + " was not expected" +
                         did_you_mean(extra.front(), known),
                     name);
}

// What people type who know other programs.
struct OtherWord {
  std::string_view word;
  const char* remedy;
};
constexpr OtherWord kOtherWords[] = {
    {"run",
     "models answer POST /v1/chat/completions and are loaded for it; 'tonnage load MODEL' loads "
     "one "
     "ahead"},
    {"chat", "models answer POST /v1/chat/completions"},
    {"pull",
     "put a .gguf file into the folder of --models, or name it under 'models' in the "
     "configuration"},
    {"push", "Tonnage publishes no models"},
    {"create", "name a .gguf file under 'models' in the configuration"},
    {"rm",
     "remove it from the configuration and 'tonnage reload'; 'tonnage unload MODEL' frees its "
     "memory"},
    {"stop",
     "'tonnage unload MODEL' frees a model's memory; Ctrl-C or 'systemctl stop' ends the daemon"},
    {"kill", "'tonnage unload MODEL' frees a model's memory"},
    {"start", "'tonnage serve' runs the daemon, 'tonnage load MODEL' loads a model"},
    {"restart", "'tonnage reload' applies a changed configuration"},
    {"list", "'tonnage status' shows all models, 'tonnage ps' the running ones"},
    {"ls", "'tonnage status' shows all models, 'tonnage ps' the running ones"},
    {"models", "'tonnage status' shows all models, 'tonnage ps' the running ones"},
    {"show", "'tonnage status' shows all models, 'tonnage why MODEL' what was decided about one"},
    {"info", "'tonnage status' shows all models, 'tonnage why MODEL' what was decided about one"},
    {"top", "'tonnage status' shows memory now, 'tonnage history' over time"},
    {"logs",
     "GET /logs/MODEL of the daemon has a model server's output; 'tonnage events' shows what was "
     "decided"},
    {"config", "'tonnage check' shows what a configuration amounts to"},
    {"validate", "'tonnage check' checks a configuration"},
};

std::string hint_for(const std::string& word, const std::vector<std::string>& known) {
  const auto other = std::ranges::find(kOtherWords, std::string_view(word), &OtherWord::word);
  return other != std::end(kOtherWords) ? "; " + std::string(other->remedy)
                                        : did_you_mean(word, known);
}

ExitCode run(int argc, const char* const* argv) {
  CLI::App app("The memory governor for local AI: many models, one memory budget.", "tonnage");
  app.require_subcommand(1);
  app.footer(kExitCodes);
  app.set_version_flag("--version", "tonnage " TONNAGE_VERSION, "Print the version and end");
  ExitCode exit_code = ExitCode::ok;
  add_subcommands(app, exit_code);
  auto arguments = arguments_of(argc, argv);
  if (arguments.empty()) {
    std::fputs(app.help().c_str(), stderr);
    return ExitCode::usage;
  }
  if (const std::string& first = arguments.front();
      !first.starts_with('-') && subcommand(app, first) == nullptr) {
    const auto known = names_of(command_doc(app), false);
    return wrong_usage("there is no command " + in_quotes(first) + hint_for(first, known),
                       "tonnage");
  }
  try {
    // CLI11 takes them from the end.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::Success& e) {  // --help and --version
    return app.exit(e) == 0 ? ExitCode::ok : ExitCode::failed;
  } catch (const CLI::ParseError& e) {
    return wrong_usage(app, e.what());
  } catch (const std::exception& e) {
    // Out of memory, or a defect; nothing of ours throws.
    return complain({ExitCode::failed, e.what()});
  }
  return exit_code;
}

}  // namespace

int run_command_line(int argc, const char* const* argv) {
  // The daemon's words are in its log, and how that is written is its own affair.
  if (argc > 1 && std::string_view(argv[1]) == "serve")
    return static_cast<int>(run(argc, argv));
  prepare_output();
  return static_cast<int>(finish_output(run(argc, argv)));
}

}  // namespace tonnage
