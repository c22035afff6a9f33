// ServerFixture: a Supervisor over fake servers and a record of what it reports, for tests only.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/fake_server.h"
#include "engine/supervisor.h"
#include "process/loop_fixture.h"

namespace tonnage {

inline constexpr ModelId kModel{3};

struct Recorder : ServerObserver {
  void server_ready(Generation generation) override { ready[generation]++; }
  void server_exited(Generation generation, std::optional<Failure> failure) override {
    exits[generation]++;
    failures[generation] = std::move(failure);
    if (on_exit)
      on_exit(generation);
  }
  void server_unresponsive(Generation generation, Failure failure) override {
    unresponsive[generation]++;
    failures[generation] = std::move(failure);
  }

  std::map<Generation, int> ready;
  std::map<Generation, int> exits;
  std::map<Generation, int> unresponsive;
  std::map<Generation, std::optional<Failure>> failures;
  std::function<void(Generation)> on_exit;
};

class ServerFixture : public LoopFixture {
 protected:
  void SetUp() override {
    auto folder = RuntimeFolder::open(scratch_.path() / "run");
    ASSERT_TRUE(folder) << folder.error().text();
    folder_.emplace(std::move(*folder));
    options_.probe_interval = 50ms;
    make();
  }

  void make() { supervisor_.emplace(loop_, *folder_, options_, seen_); }

  Generation start(std::string part, std::vector<std::string> arguments = {}) {
    const Generation generation{++last_};
    const auto socket = folder_->socket_path(kModel, generation);
    supervisor_->start(
        ServerSpec{.generation = generation,
                   .model = kModel,
                   .model_name = "fake",
                   .argv = fake_server_argv(*socket, std::move(part), std::move(arguments)),
                   .env = {"PATH=/usr/bin:/bin", "MARK=1"},
                   .endpoint = net::unix_address(*socket),
                   .notices_leaving = notices_leaving_});
    return generation;
  }

  Generation start_ready(std::string part, std::vector<std::string> arguments = {}) {
    const Generation generation = start(std::move(part), std::move(arguments));
    EXPECT_TRUE(run_until(
        [&] { return seen_.ready.contains(generation) || seen_.exits.contains(generation); }));
    const auto& failure = seen_.failures[generation];
    EXPECT_TRUE(seen_.ready.contains(generation)) << (failure ? failure->text : "not ready");
    return generation;
  }

  bool until_exit(Generation generation) {
    return run_until([&] { return seen_.exits.contains(generation); });
  }

  // The rest of the first line of the log that begins with `prefix`.
  std::optional<std::string> said(std::string_view prefix) {
    for (const auto& line : supervisor_->log(kModel).lines()) {
      if (line.text.starts_with(prefix))
        return line.text.substr(prefix.size());
    }
    return std::nullopt;
  }

  SupervisorOptions options_;
  bool notices_leaving_ = false;  // of servers that are started from now on
  Recorder seen_;
  std::optional<RuntimeFolder> folder_;
  std::optional<Supervisor> supervisor_;
  std::uint64_t last_ = 0;
};

}  // namespace tonnage
