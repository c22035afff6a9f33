// ProcessRunner: runs a short program (a dry run, --version) and hands over what it printed.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tick.h"
#include "process/exit_status.h"

namespace boost::asio {
class io_context;
}

namespace tonnage {

struct RunRequest {
  std::vector<std::string> argv;  // argv[0] is a path
  std::vector<std::string> env;   // "NAME=value"; all that the program sees
  Duration timeout = 60s;         // then it is killed
  std::size_t output_bytes_max =
      256 * 1024;  // of each stream; what comes after is read and dropped
  int nice = 10;   // a dry run must not slow down the servers that answer
  // What was printed before the time was over is handed over as well, with `timed_out`.
  bool partial = false;
};

struct RunOutput {
  ExitStatus status;
  std::string out;
  std::string err;
  bool cut = false;        // more was printed than output_bytes_max
  bool timed_out = false;  // killed at its time-out; only where RunRequest::partial is set
};

using RunId = std::uint64_t;

struct RunningProcess {
  RunId run = 0;
  pid_t pid = 0;
};

class ProcessRunner {
 public:
  using Done = std::function<void(Result<RunOutput>)>;

  // Everything happens on the thread that runs `loop`; the programs die with it.
  explicit ProcessRunner(boost::asio::io_context& loop);
  // Kills what still runs; nobody is told any more.
  ~ProcessRunner();
  ProcessRunner(const ProcessRunner&) = delete;
  ProcessRunner& operator=(const ProcessRunner&) = delete;

  // `done` is called exactly once, never from inside run(), unless the run is cancelled: with the
  // output whatever the exit status, or with an error when there was no process or no time left. A
  // program that hangs in the kernel does not end when it is killed: `done` is called all the same
  // kKilledWait after the kill, and the program stays in running() until it is gone.
  RunId run(RunRequest request, Done done);
  // Kills the program, which stays in running() until it is gone; `done` is not called. Unknown
  // runs are ignored.
  void cancel(RunId run);

  // What runs now: its memory is ours.
  std::vector<RunningProcess> running() const;
  std::optional<pid_t> pid(RunId run) const;

  static constexpr Duration kKilledWait = 2s;

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace tonnage
