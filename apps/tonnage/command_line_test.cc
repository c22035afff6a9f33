#include <fstream>
#include <vector>

#include <gtest/gtest.h>

#include "config/schema.h"
#include "tonnage/client.h"
#include "tonnage/subcommands.h"

namespace tonnage {
namespace {

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

Outcome run(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "tonnage");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = run_command_line(static_cast<int>(arguments.size()), arguments.data());
  std::fflush(stdout);
  return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

TEST(CommandLine, EverySubcommandHasHelpWithTheExitCodes) {
  for (const char* name :
       {"serve", "status", "ps", "load", "unload", "pin", "unpin", "clear", "flush", "why", "check",
        "doctor", "version", "events", "history", "log", "man", "completion"}) {
    const Outcome help = run({name, "--help"});
    EXPECT_EQ(help.code, 0) << name;
    EXPECT_NE(help.out.find("Exit codes: 0 done"), std::string::npos) << name;
  }
  EXPECT_EQ(run({"--help"}).code, 0);
  EXPECT_EQ(run({"help"}).out, run({"--help"}).out);
  EXPECT_EQ(run({"help", "load"}).out, run({"load", "--help"}).out);
  EXPECT_EQ(run({"--version"}).code, 0);
}

TEST(CommandLine, WrongUsageIsTwo) {
  EXPECT_EQ(run({}).code, 2);
  EXPECT_EQ(run({"nonsense"}).code, 2);
  EXPECT_EQ(run({"load"}).code, 2);
  EXPECT_EQ(run({"why", "x", "--limit", "many"}).code, 2);
  EXPECT_EQ(run({"serve", "--config", "/nonexistent"}).code, 2);
  EXPECT_EQ(run({"check", "/nonexistent"}).code, 2);
  const Outcome json = run({"check", "/nonexistent", "--json"});
  EXPECT_EQ(json.code, 2);
  EXPECT_NE(json.out.find("\"ok\": false"), std::string::npos);
}

TEST(CommandLine, WordsOfOtherProgramsAreAnsweredWithOurs) {
  EXPECT_EQ(run({"logs"}).err,
            "tonnage: there is no command 'logs'; GET /logs/MODEL of the daemon has a model "
            "server's output; 'tonnage events' shows what was decided\n"
            "'tonnage --help' says what there is\n");
  for (const char* word : {"run", "logs", "pull", "stop", "list", "ls", "rm", "show", "start"}) {
    const Outcome outcome = run({word});
    EXPECT_EQ(outcome.code, 2) << word;
    EXPECT_EQ(outcome.err.find("did you mean"), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("there is no command '" + std::string(word) + "'; "),
              std::string::npos)
        << outcome.err;
  }
}

TEST(CommandLine, ProblemsOfAConfigurationAreAListOfObjects) {
  const std::string file = testing::TempDir() + "problems.yaml";
  std::ofstream(file) << "models:\n  m:\n    gguf: /m.gguf\n    ctx: 1\n    slots: many\n";
  const Outcome outcome = run({"check", file.c_str(), "--json"});
  EXPECT_EQ(outcome.code, 2);
  const Json json = Json::parse(outcome.out, nullptr, false);
  ASSERT_EQ(json["problems"].size(), 2U) << outcome.out;
  EXPECT_EQ(json["problems"][0]["source"], file);
  EXPECT_EQ(json["problems"][0]["line"], 4);
  EXPECT_EQ(json["problems"][0]["column"], 5);
  EXPECT_EQ(json["problems"][0]["text"], "unknown key 'ctx' in models.m; did you mean 'context'?");
  EXPECT_EQ(json["problems"][1]["line"], 5);
  const Json missing = Json::parse(run({"check", "/nonexistent", "--json"}).out, nullptr, false);
  ASSERT_EQ(missing["problems"].size(), 1U);
  EXPECT_TRUE(missing["problems"][0]["text"].is_string());
}

TEST(CommandLine, WhatIsMistypedIsNamedWithWhatWasMeant) {
  EXPECT_EQ(run({"lod"}).err,
            "tonnage: there is no command 'lod'; did you mean 'load'?\n"
            "'tonnage --help' says what there is\n");
  EXPECT_EQ(run({"nonsense"}).err,
            "tonnage: there is no command 'nonsense'\n'tonnage --help' says what there is\n");
  EXPECT_EQ(run({"why", "x", "--limt", "3"}).err,
            "tonnage: why: '--limt' was not expected; did you mean '--limit'?\n"
            "'tonnage why --help' says what there is\n");
  const Outcome missing = run({"load"});
  EXPECT_TRUE(missing.err.starts_with("tonnage: load: model is required")) << missing.err;
  const Outcome control = run({"\x1b[31mred"});
  EXPECT_EQ(control.err.find('\x1b'), std::string::npos);
  EXPECT_NE(run({}).err.find("serve"), std::string::npos) << "no command at all shows the help";
}

TEST(CommandLine, EveryHelpFitsATerminal) {
  std::vector<std::vector<const char*>> pages = {{"--help"}};
  for (const char* name : {"serve", "status", "load", "why", "check", "doctor", "events", "history",
                           "log", "completion"}) {
    pages.push_back({name, "--help"});
  }
  for (const auto& page : pages) {
    const Outcome help = run(page);
    std::size_t begin = 0;
    while (begin < help.out.size()) {
      const std::size_t end = help.out.find('\n', begin);
      EXPECT_LE(end - begin, 110u) << help.out.substr(begin, end - begin);
      begin = end + 1;
    }
    EXPECT_EQ(help.out.find("TEXT"), std::string::npos) << page.front() << ": name the value";
  }
}

TEST(CommandLine, NoDaemonIsThree) {
  for (const char* name : {"status", "ps", "flush", "events", "history", "log"}) {
    const Outcome result = run({name, "--runtime-dir", "/nonexistent"});
    EXPECT_EQ(result.code, 3) << name;
    EXPECT_NE(result.err.find("no daemon answers at unix:/nonexistent/control.sock"),
              std::string::npos)
        << result.err;
  }
  for (const char* name : {"load", "unload", "pin", "unpin", "clear", "why"}) {
    EXPECT_EQ(run({name, "some/model", "--runtime-dir", "/nonexistent"}).code, 3) << name;
  }
}

TEST(CommandLine, CheckPrintsTheSchemaAndTheReference) {
  EXPECT_EQ(run({"check", "--schema"}).out, config_schema());
  EXPECT_EQ(run({"check", "--reference"}).out, config_reference());
}

}  // namespace
}  // namespace tonnage
