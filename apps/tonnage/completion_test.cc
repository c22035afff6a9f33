#include "tonnage/completion.h"

#include <gtest/gtest.h>

#include "tonnage/manual.h"
#include "tonnage/subcommands.h"

namespace tonnage {
namespace {

std::string output_of(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "tonnage");
  testing::internal::CaptureStdout();
  EXPECT_EQ(run_command_line(static_cast<int>(arguments.size()), arguments.data()), 0);
  std::fflush(stdout);
  return testing::internal::GetCapturedStdout();
}

// The names of all subcommands, as --help lists them: two spaces, the name, spaces.
std::vector<std::string> commands_of_help() {
  const std::string help = output_of({"--help"});
  std::vector<std::string> names;
  for (std::size_t at = help.find("\n  "); at != std::string::npos;
       at = help.find("\n  ", at + 1)) {
    const std::size_t begin = at + 3;
    const std::size_t end = help.find_first_of(" \n", begin);
    const std::string name = help.substr(begin, end - begin);
    if (!name.empty() &&
        name.find_first_not_of("abcdefghijklmnopqrstuvwxyz-") == std::string::npos &&
        name.front() != '-') {
      names.push_back(name);
    }
  }
  return names;
}

// Every "--option" that a page of help names.
std::vector<std::string> options_of_help(const std::string& help) {
  std::vector<std::string> names;
  for (std::size_t at = help.find("--"); at != std::string::npos; at = help.find("--", at + 2)) {
    const std::size_t line = help.rfind('\n', at);
    // Options begin their line; what comes later on it is prose.
    if (help.find_first_not_of(" -,abcdefghijklmnopqrstuvwxyz", line + 1) < at || at - line > 6)
      continue;
    const std::size_t end = help.find_first_not_of("abcdefghijklmnopqrstuvwxyz-", at);
    names.push_back(help.substr(at, end - at));
  }
  return names;
}

// Whether fish is told of the option for this command.
bool fish_line(const std::string& fish, const std::string& command, const std::string& option) {
  const std::string begin =
      "\ncomplete -c tonnage -n '__fish_seen_subcommand_from " + command + "'";
  const std::string name = " -l " + option.substr(2) + " ";
  for (std::size_t at = fish.find(begin); at != std::string::npos; at = fish.find(begin, at + 1)) {
    const std::string line = fish.substr(at + 1, fish.find('\n', at + 1) - at - 1);
    if (line.find(name) != std::string::npos)
      return true;
  }
  return false;
}

TEST(Completion, EverySubcommandAndOptionIsInEveryScriptAndInTheManual) {
  const std::string bash = output_of({"completion", "bash"});
  const std::string zsh = output_of({"completion", "zsh"});
  const std::string fish = output_of({"completion", "fish"});
  const std::string manual = output_of({"man"});
  const auto commands = commands_of_help();
  ASSERT_GE(commands.size(), 17u);
  for (const std::string& command : commands) {
    EXPECT_NE(bash.find("\n    " + command + ")\n"), std::string::npos) << command;
    EXPECT_NE(zsh.find("\n        " + command + ")\n"), std::string::npos) << command;
    EXPECT_NE(fish.find(" -a " + command + " -d "), std::string::npos) << command;
    EXPECT_NE(manual.find("\n.SS \"" + command + "\"\n"), std::string::npos) << command;
    const auto part = [&](const std::string& text, const std::string& from, const std::string& to) {
      const std::size_t begin = text.find(from);
      return text.substr(begin, text.find(to, begin + from.size()) - begin);
    };
    const std::string in_bash = part(bash, "\n    " + command + ")\n", "\n      ;;\n");
    const std::string in_zsh = part(zsh, "\n        " + command + ")\n", "\n          ;;\n");
    const std::string in_manual = part(manual, "\n.SS \"" + command + "\"\n", "\n.S");
    const auto options = options_of_help(output_of({command.c_str(), "--help"}));
    ASSERT_FALSE(options.empty()) << command;
    for (const std::string& option : options) {
      EXPECT_NE(in_bash.find(option), std::string::npos) << command << " " << option;
      EXPECT_NE(in_zsh.find(")" + option + "["), std::string::npos) << command << " " << option;
      EXPECT_TRUE(fish_line(fish, command, option)) << command << " " << option;
      std::string escaped;
      for (const char c : option)
        escaped += c == '-' ? std::string("\\-") : std::string(1, c);
      EXPECT_NE(in_manual.find("\\fB" + escaped + "\\fR"), std::string::npos)
          << command << " " << option;
    }
  }
}

TEST(Completion, ModelsAreAskedForWhereAModelIsMeant) {
  const std::string bash = output_of({"completion", "bash"});
  for (const char* command : {"load", "unload", "pin", "unpin", "clear", "why"}) {
    const std::size_t begin = bash.find("\n    " + std::string(command) + ")\n");
    ASSERT_NE(begin, std::string::npos) << command;
    const std::string part = bash.substr(begin, bash.find(";;\n    ", begin) - begin);
    EXPECT_NE(
        bash.substr(begin, bash.find("\n      ;;\n", begin) - begin).find("else _tonnage_models"),
        std::string::npos)
        << command;
  }
}

// The flag that the scripts themselves use.
TEST(Completion, WhatIsHiddenStaysHidden) {
  const std::string bash = output_of({"completion", "bash"});
  const std::string part = bash.substr(bash.find("\n    completion)\n"));
  EXPECT_NE(part.find("_tonnage_words '-h --help'; else"), std::string::npos) << part;
  const std::string manual = output_of({"man"});
  const std::string page = manual.substr(manual.find("\n.SS \"completion\"\n"));
  EXPECT_EQ(page.substr(0, page.find("\n.S", 1)).find("models"), std::string::npos) << page;
}

CommandDoc odd_program() {
  CommandDoc program;
  program.name = "tonnage";
  CommandDoc command;
  command.name = "odd";
  command.description = "It's [odd]: 100% \\ so";
  command.options.push_back({{"--it"}, "FILE", {}, "a'b", ".starts 'with' a-dot", false, false});
  program.commands.push_back(command);
  return program;
}

TEST(Completion, OddTextIsQuoted) {
  EXPECT_NE(zsh_completion(odd_program()).find("'odd:It'\\''s \\[odd\\]\\: 100% \\\\ so'"),
            std::string::npos)
      << zsh_completion(odd_program());
  EXPECT_NE(fish_completion(odd_program()).find("-d 'It\\'s [odd]: 100% \\\\ so'"),
            std::string::npos);
  const std::string manual = manual_page(odd_program(), "1.0");
  EXPECT_NE(manual.find("\n\\&.starts 'with' a\\-dot (default a'b)."), std::string::npos) << manual;
  EXPECT_NE(manual.find("100% \\e so"), std::string::npos);
}

}  // namespace
}  // namespace tonnage
