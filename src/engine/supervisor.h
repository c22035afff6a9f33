// Supervisor: starts, watches and ends model servers, and keeps what they said.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/tick.h"
#include "core/types.h"
#include "engine/server_spec.h"
#include "process/log_ring.h"
#include "process/runtime_folder.h"

namespace boost::asio {
class io_context;
}

namespace tonnage {

// Told what happens to servers, on the loop's thread, never from inside a call to the Supervisor.
class ServerObserver {
 public:
  virtual ~ServerObserver() = default;
  virtual void server_ready(Generation generation) = 0;
  // Exactly once for each start(), and the last word about that generation. No failure when the
  // server ended because it was told to.
  virtual void server_exited(Generation generation, std::optional<Failure> failure) = 0;
  // At most once per generation, only after server_ready. The server still holds its memory.
  virtual void server_unresponsive(Generation generation, Failure failure) = 0;
};

struct SupervisorOptions {
  Duration stop_timeout = 500ms;  // from SIGTERM to SIGKILL: weights are all there is to lose
  // From SIGKILL until a server that does not end is taken for gone: it hangs in the kernel, and
  // what it still holds is memory of a foreign process.
  Duration killed_wait = 5s;
  Duration probe_interval = 1s;    // of a ready server; also the time that a probe may take
  int probes_missed_max = 3;       // that many in a row: unresponsive
  Duration loop_late_max = 500ms;  // a probe is not counted when we ourselves were late by more
  Duration slots_wait_max = 15s;   // await_slots gives up
  int nice = 0;                    // of the servers
  LogLimits logs;                  // per model
};

struct RunningServer {
  Generation generation;
  ModelId model;
  pid_t pid = 0;
  net::Address endpoint;
  bool ready = false;
};

class Supervisor {
 public:
  // `folder` and `observer` must outlive it. Everything happens on the thread that runs `loop`,
  // and that thread must live as long as the servers (they die with it).
  Supervisor(boost::asio::io_context& loop, RuntimeFolder& folder, SupervisorOptions options,
             ServerObserver& observer);
  // Kills what still runs; nobody is told any more.
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Blocks for one fork and exec. A server that could not be started is reported through
  // server_exited with spawn_failed (or bad_setup, when the runtime folder is the cause).
  void start(const ServerSpec& spec);

  // SIGTERM to the server's process group, SIGKILL after stop_timeout; `kill_at_once`: SIGKILL now,
  // also for a server that is being stopped or hangs in state T. Unknown generations (already gone)
  // are ignored.
  void stop(Generation generation, bool kill_at_once);

  std::optional<pid_t> pid(Generation generation) const;
  // In order of generation.
  std::vector<RunningServer> running() const;

  // What the model's servers said, the dead ones included. The reference stays valid.
  LogRing& log(ModelId model);

  // What a server said last, oldest first, for classify_answer(): all that it wrote before now is
  // among it. Valid until its log gets another line; empty for a generation that has ended.
  std::vector<std::string_view> last_words(Generation generation);

  // Looks at the server's slots until at most `busy_at_most()` of them work (asked anew at each
  // look, since other requests come and go), then calls `done(true)`; also when the server is
  // gone. `done(false)`: not within slots_wait_max, or the engine does not tell. `answering`: the
  // server was sending an answer; one that was not, and does not notice by itself who leaves, is
  // left alone for longer.
  void await_slots(Generation generation, bool answering, std::function<int()> busy_at_most,
                   std::function<void(bool)> done);

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace tonnage
