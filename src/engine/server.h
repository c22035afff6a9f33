// Server: one running model server, from its start to its exit.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/tick.h"
#include "engine/liveness.h"
#include "engine/server_spec.h"
#include "engine/slot_wait.h"
#include "engine/supervisor.h"
#include "http/client.h"
#include "process/log_ring.h"
#include "process/loop_timer.h"
#include "process/spawn.h"

namespace tonnage {

class Server : public std::enable_shared_from_this<Server> {
 public:
  // Called on the loop, never from inside a call to the Server.
  struct Hooks {
    std::function<void()> ready;
    std::function<void(std::string why)> unresponsive;
    std::function<void(ExitStatus)> exited;
    // It was killed kKilledWait ago and still runs: it hangs in the kernel. `exited` may follow.
    std::function<void()> undead;
  };

  // `log` and `options` outlive it. `output` is the read end of what the process prints.
  Server(boost::asio::io_context& loop, ServerSpec spec, Spawned process, FileHandle output,
         LogRing& log, const SupervisorOptions& options, Hooks hooks);
  // Kills the process if it still runs and waits for it a little; no hook is called.
  ~Server();

  void watch();
  void stop(bool kill_at_once);
  // Once per probe interval. `loop_was_late`: what did not happen in time may be our own fault.
  void tick(bool loop_was_late);
  // Takes what the process has printed so far.
  void catch_up();
  void await_slots(bool answering, std::function<int()> busy_at_most,
                   std::function<void(bool)> done);

  const ServerSpec& spec() const { return spec_; }
  pid_t pid() const { return process_.pid; }
  bool ready() const { return ready_; }
  bool told_to_stop() const { return told_to_stop_; }
  // Why it is killed before it was ready, where that was not asked for.
  const std::optional<Failure>& failure() const { return failure_; }

 private:
  using Clock = LoopClock;

  void wait_for_exit();
  void wait_for_output();
  bool read_output(int reads_max);
  void poll_ready();
  void poll_ready_in(Clock::duration pause);
  void heard_something();
  void readiness_answer(bool well);
  void probe();
  // A GET at the server. `heard` is called from the loop, unless the call is let go of before.
  net::ClientCall ask(const std::string& path, Duration timeout,
                      void (*heard)(Server&, const net::ReplyOrNot&));
  void look_at_slots(Clock::time_point now);
  void give_up(std::string why);
  void kill();
  void finish();
  void forget_socket() const;

  boost::asio::io_context& loop_;
  ServerSpec spec_;
  Spawned process_;
  LogRing& log_;
  const SupervisorOptions& options_;
  Hooks hooks_;

  boost::asio::posix::stream_descriptor exit_;  // a duplicate of the pidfd
  boost::asio::posix::stream_descriptor output_;
  LoopTimer poll_timer_;
  LoopTimer stop_timer_;
  net::ClientCall probe_;       // on its way
  net::ClientCall slots_look_;  // answered between two steps, however long they are
  std::vector<std::shared_ptr<SlotWait>> slot_waits_;

  Clock::time_point started_ = Clock::now();
  Liveness liveness_{spec_.liveness, started_};
  std::optional<Failure> failure_;
  Clock::time_point polled_;
  std::uint64_t polls_ = 0;
  int missed_ = 0;
  bool ready_ = false;
  bool unresponsive_ = false;
  bool told_to_stop_ = false;
  bool undead_ = false;
  bool ended_ = false;
};

}  // namespace tonnage
