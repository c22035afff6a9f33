#include "engine/supervisor.h"

#include <signal.h>
#include <unistd.h>

#include <map>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "base/check.h"
#include "base/descriptors.h"
#include "engine/failure_class.h"
#include "engine/server.h"
#include "process/loop_timer.h"
#include "process/oom_watch.h"

namespace tonnage {
namespace {

// An abort of ggml has a debugger print one line per thread and the stack after the line that says
// why; the classifier passes over them.
constexpr std::size_t kLastLines = 300;

Tick now_tick() {
  const auto since = LoopClock::now().time_since_epoch();
  return Tick(std::chrono::duration_cast<Duration>(since));
}

}  // namespace

class Supervisor::State : public std::enable_shared_from_this<State> {
 public:
  State(boost::asio::io_context& loop, RuntimeFolder& folder, SupervisorOptions options,
        ServerObserver& observer)
      : loop_(loop),
        folder_(folder),
        options_(options),
        observer_(observer),
        oom_(OomWatch::of_this_process()),
        tick_timer_(loop) {}

  void start(const ServerSpec& spec);
  void shut();
  LogRing& log(ModelId model);
  boost::asio::io_context& loop() { return loop_; }

  std::map<Generation, std::shared_ptr<Server>> servers;
  // Killed, told as exited, and still there: they hang in the kernel.
  std::map<Generation, std::shared_ptr<Server>> undead;

 private:
  void fail_later(Generation generation, Failure failure);
  void ready(Generation generation);
  void unresponsive(Generation generation, std::string why);
  void exited(Generation generation, ExitStatus status);
  void hangs(Generation generation);
  void tick_later();
  void tick();

  boost::asio::io_context& loop_;
  RuntimeFolder& folder_;
  const SupervisorOptions options_;
  ServerObserver& observer_;
  OomWatch oom_;
  LoopTimer tick_timer_;
  std::chrono::steady_clock::time_point tick_due_;
  bool ticking_ = false;
  std::map<ModelId, LogRing> logs_;
};

LogRing& Supervisor::State::log(ModelId model) {
  return logs_.try_emplace(model, options_.logs).first->second;
}

void Supervisor::State::fail_later(Generation generation, Failure failure) {
  boost::asio::post(loop_, [weak = weak_from_this(), generation, failure = std::move(failure)] {
    if (const auto self = weak.lock())
      self->observer_.server_exited(generation, failure);
  });
}

void Supervisor::State::start(const ServerSpec& spec) {
  const Generation generation = spec.generation;
  TONNAGE_CHECK(!servers.contains(generation), "a generation starts once");
  if (const auto there = folder_.ensure(); !there) {
    fail_later(generation, {FailureKind::bad_setup, there.error().text()});
    return;
  }
  // A server refuses to listen on a socket that already exists, whoever left it.
  if (spec.endpoint.is_unix())
    ::unlink(spec.endpoint.unix_path.c_str());
  auto pipe = open_pipe();
  if (!pipe) {
    fail_later(generation, {FailureKind::spawn_failed, pipe.error().text()});
    return;
  }
  auto process = spawn(SpawnRequest{.argv = spec.argv,
                                    .env = spec.env,
                                    .out = pipe->write_end.get(),
                                    .err = pipe->write_end.get(),
                                    .nice = options_.nice});
  if (!process) {
    fail_later(generation, {FailureKind::spawn_failed, process.error().text()});
    return;
  }
  // Without a record the server still dies with this thread; only a later daemon knows less.
  [[maybe_unused]] const auto recorded = folder_.record(generation, process->pid);

  auto weak = weak_from_this();
  Server::Hooks hooks{.ready =
                          [weak, generation] {
                            if (const auto self = weak.lock())
                              self->ready(generation);
                          },
                      .unresponsive =
                          [weak, generation](std::string why) {
                            if (const auto self = weak.lock())
                              self->unresponsive(generation, std::move(why));
                          },
                      .exited =
                          [weak, generation](ExitStatus status) {
                            if (const auto self = weak.lock())
                              self->exited(generation, status);
                          },
                      .undead =
                          [weak, generation] {
                            if (const auto self = weak.lock())
                              self->hangs(generation);
                          }};
  auto server =
      std::make_shared<Server>(loop_, spec, std::move(*process), std::move(pipe->read_end),
                               log(spec.model), options_, std::move(hooks));
  server->watch();
  servers.emplace(generation, std::move(server));
  oom_.sample(now_tick());
  if (!ticking_)
    tick_later();
}

void Supervisor::State::ready(Generation generation) {
  observer_.server_ready(generation);
}

void Supervisor::State::unresponsive(Generation generation, std::string why) {
  const auto found = servers.find(generation);
  const bool asked =
      found != servers.end() &&
      was_asked_to_end(log(found->second->spec().model).tail(generation, kLastLines));
  observer_.server_unresponsive(
      generation, {asked ? FailureKind::killed : FailureKind::unresponsive, std::move(why)});
}

void Supervisor::State::exited(Generation generation, ExitStatus status) {
  folder_.forget(generation);
  if (undead.erase(generation) > 0)
    return;
  const auto found = servers.find(generation);
  const auto server = found->second;
  servers.erase(found);
  std::optional<Failure> failure = server->failure();
  if (!failure && !server->told_to_stop()) {
    const bool killed_by_kernel = signal_of(status) == SIGKILL && oom_.killed_recently(now_tick());
    const auto words = log(server->spec().model).tail(generation, kLastLines);
    failure = classify_exit(status, killed_by_kernel, words);
    // A server that serves ends in order only when it is asked to, and nobody here has asked.
    if (status.clean() && server->ready())
      failure->kind = FailureKind::killed;
  }
  observer_.server_exited(generation, std::move(failure));
}

// Whoever waits for its end would wait for ever. Its memory is from now on that of a process which
// is none of ours, so nothing is placed into it.
void Supervisor::State::hangs(Generation generation) {
  auto server = servers.extract(generation);
  log(server.mapped()->spec().model)
      .append(generation, "tonnage: killed, but hangs in the kernel (process " +
                              std::to_string(server.mapped()->pid()) + ")\n");
  const std::optional<Failure> failure = server.mapped()->failure();
  undead.insert(std::move(server));
  observer_.server_exited(generation, failure);
}

void Supervisor::State::tick_later() {
  ticking_ = true;
  tick_due_ = std::chrono::steady_clock::now() + options_.probe_interval;
  tick_timer_.expires_after(options_.probe_interval);
  tick_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (self && !error)
      self->tick();
  });
}

void Supervisor::State::tick() {
  // By the clock that counts pauses: what servers said meanwhile is still to be read.
  const auto late = std::chrono::steady_clock::now() - tick_due_;
  ticking_ = !servers.empty();
  if (!ticking_)
    return;
  oom_.sample(now_tick());
  DescriptorReserve::refill();
  // Observers may start and stop servers while this runs.
  const auto current = servers;
  for (const auto& [generation, server] : current)
    server->tick(late > options_.loop_late_max);
  tick_later();
}

void Supervisor::State::shut() {
  tick_timer_.cancel();
  const auto hanging = std::exchange(undead, {});
  const auto ending = std::exchange(servers, {});
  // All at once, before the first of them is waited for.
  for (const auto& [generation, server] : ending) {
    server->stop(true);
    folder_.forget(generation);
  }
}

Supervisor::Supervisor(boost::asio::io_context& loop, RuntimeFolder& folder,
                       SupervisorOptions options, ServerObserver& observer)
    : state_(std::make_shared<State>(loop, folder, options, observer)) {}

Supervisor::~Supervisor() {
  state_->shut();
}

void Supervisor::start(const ServerSpec& spec) {
  state_->start(spec);
}

void Supervisor::stop(Generation generation, bool kill_at_once) {
  const auto found = state_->servers.find(generation);
  if (found != state_->servers.end())
    found->second->stop(kill_at_once);
}

std::optional<pid_t> Supervisor::pid(Generation generation) const {
  const auto found = state_->servers.find(generation);
  if (found == state_->servers.end())
    return std::nullopt;
  return found->second->pid();
}

std::vector<RunningServer> Supervisor::running() const {
  std::vector<RunningServer> out;
  for (const auto& [generation, server] : state_->servers) {
    out.push_back(RunningServer{.generation = generation,
                                .model = server->spec().model,
                                .pid = server->pid(),
                                .endpoint = server->spec().endpoint,
                                .ready = server->ready()});
  }
  return out;
}

LogRing& Supervisor::log(ModelId model) {
  return state_->log(model);
}

std::vector<std::string_view> Supervisor::last_words(Generation generation) {
  const auto found = state_->servers.find(generation);
  if (found == state_->servers.end())
    return {};
  found->second->catch_up();
  return log(found->second->spec().model).tail(generation, kLastLines);
}

void Supervisor::await_slots(Generation generation, bool answering,
                             std::function<int()> busy_at_most, std::function<void(bool)> done) {
  const auto found = state_->servers.find(generation);
  const bool gone = found == state_->servers.end();
  if (!gone && !found->second->spec().slots_path.empty()) {
    found->second->await_slots(answering, std::move(busy_at_most), std::move(done));
    return;
  }
  boost::asio::post(state_->loop(), [gone, done = std::move(done)] { done(gone); });
}

}  // namespace tonnage
