#include <vector>

#include <gtest/gtest.h>

#include "config/schema.h"
#include "vramd/subcommands.h"

namespace vramd {
namespace {

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

Outcome run(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "vramd");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = run_command_line(static_cast<int>(arguments.size()), arguments.data());
  std::fflush(stdout);
  return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

TEST(CommandLine, EverySubcommandHasHelpWithTheExitCodes) {
  for (const char* name : {"serve", "status", "ps", "load", "unload", "pin", "unpin", "flush",
                           "why", "check", "doctor", "version"}) {
    const Outcome help = run({name, "--help"});
    EXPECT_EQ(help.code, 0) << name;
    EXPECT_NE(help.out.find("Exit codes: 0 done"), std::string::npos) << name;
  }
  EXPECT_EQ(run({"--help"}).code, 0);
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

TEST(CommandLine, NoDaemonIsThree) {
  for (const char* name : {"status", "ps", "flush"}) {
    const Outcome result = run({name, "--runtime-dir", "/nonexistent"});
    EXPECT_EQ(result.code, 3) << name;
    EXPECT_NE(result.err.find("no daemon answers at unix:/nonexistent/control.sock"),
              std::string::npos)
        << result.err;
  }
  for (const char* name : {"load", "unload", "pin", "unpin", "why"}) {
    EXPECT_EQ(run({name, "some/model", "--runtime-dir", "/nonexistent"}).code, 3) << name;
  }
}

TEST(CommandLine, CheckPrintsTheSchemaAndTheReference) {
  EXPECT_EQ(run({"check", "--schema"}).out, config_schema());
  EXPECT_EQ(run({"check", "--reference"}).out, config_reference());
}

}  // namespace
}  // namespace vramd
