#include "process/runner.h"

#include <signal.h>

#include <optional>

#include "process/loop_fixture.h"
#include "process/stat.h"

namespace tonnage {
namespace {

class ProcessRunnerTest : public LoopFixture {
 protected:
  // Runs to the end.
  Result<RunOutput> run(RunRequest request) {
    std::optional<Result<RunOutput>> result;
    runner_->run(std::move(request), [&](Result<RunOutput> value) { result = std::move(value); });
    EXPECT_FALSE(result) << "never from inside run()";
    if (!run_until([&] { return result.has_value(); }))
      return fail("no end");
    EXPECT_TRUE(runner_->running().empty());
    return std::move(*result);
  }

  std::optional<ProcessRunner> runner_{loop_};
};

TEST_F(ProcessRunnerTest, HandsOverWhatWasPrintedAndTheExitStatus) {
  const auto result = run(
      {.argv = {"/bin/sh", "-c", "echo out; echo err >&2; echo $MARK; exit 3"}, .env = {"MARK=7"}});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out, "out\n7\n");
  EXPECT_EQ(result->err, "err\n");
  EXPECT_EQ(result->status, (ExitStatus{.code = 3}));
  EXPECT_FALSE(result->cut);
}

TEST_F(ProcessRunnerTest, KeepsABoundedPartOfLongOutput) {
  const auto result = run({.argv = {"/bin/sh", "-c", "head -c 1000000 /dev/zero | tee /dev/stderr"},
                           .output_bytes_max = 1000});
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->status.clean());
  EXPECT_EQ(result->out.size(), 1000U);
  EXPECT_EQ(result->err.size(), 1000U);
  EXPECT_TRUE(result->cut);
}

TEST_F(ProcessRunnerTest, LosesNothingOfWhatFits) {
  const auto result =
      run({.argv = {"/bin/head", "-c", "250000", "/dev/zero"}, .output_bytes_max = 250000});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out.size(), 250000U);
  EXPECT_FALSE(result->cut);
}

TEST_F(ProcessRunnerTest, EndsAProgramThatTakesTooLong) {
  const auto result = run({.argv = {"/bin/sleep", "1000"}, .timeout = 50ms});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().text(), "gave up on /bin/sleep: it ran longer than 50ms");
}

TEST_F(ProcessRunnerTest, AProgramThatIsNotThereIsAnError) {
  const auto result = run({.argv = {"/nowhere/fit"}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().object, "/nowhere/fit");
}

TEST_F(ProcessRunnerTest, ANameWithoutAPathIsNotSearched) {
  EXPECT_FALSE(run({.argv = {"sleep", "0"}}));
}

TEST_F(ProcessRunnerTest, ShowsWhatRunsAndIsPolite) {
  const auto id = runner_->run({.argv = {"/bin/sleep", "1000"}}, [](const auto&) { FAIL(); });
  const auto running = runner_->running();
  ASSERT_EQ(running.size(), 1U);
  EXPECT_EQ(running[0].run, id);
  EXPECT_EQ(runner_->pid(id), running[0].pid);
  runner_->cancel(id);
  EXPECT_TRUE(run_until([&] { return runner_->running().empty(); }));
  EXPECT_FALSE(read_process_stat(running[0].pid));
}

TEST_F(ProcessRunnerTest, LowersThePriority) {
  const auto own =
      run({.argv = {"/bin/sh", "-c", "nice"}, .env = {"PATH=/usr/bin:/bin"}, .nice = 0});
  const auto polite = run({.argv = {"/bin/sh", "-c", "nice"}, .env = {"PATH=/usr/bin:/bin"}});
  EXPECT_EQ(std::stoi(polite->out), std::min(std::stoi(own->out) + 10, 19));
}

TEST_F(ProcessRunnerTest, NobodyIsToldAfterACancelOrTheEnd) {
  const auto id = runner_->run({.argv = {"/nowhere/fit"}}, [](const auto&) { FAIL(); });
  runner_->cancel(id);
  runner_->run({.argv = {"/nowhere/fit"}}, [](const auto&) { FAIL(); });
  runner_->run({.argv = {"/bin/sleep", "1000"}}, [](const auto&) { FAIL(); });
  const auto pid = runner_->running().at(0).pid;
  runner_.reset();
  EXPECT_FALSE(read_process_stat(pid));
  run_for(20ms);
}

}  // namespace
}  // namespace tonnage
