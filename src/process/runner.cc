#include "process/runner.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include "base/descriptors.h"
#include "process/loop_timer.h"
#include "process/spawn.h"

namespace tonnage {
namespace {

using boost::asio::posix::stream_descriptor;
using boost::system::error_code;

int duplicate(int fd) {
  return open_with_reserve([fd] { return ::fcntl(fd, F_DUPFD_CLOEXEC, 3); });
}

}  // namespace

// One program on its way.
class Run : public std::enable_shared_from_this<Run> {
 public:
  struct Hooks {
    std::function<void()> gone;                     // the process has ended
    std::function<void(Result<RunOutput>)> result;  // once, unless the run is cancelled
  };

  Run(boost::asio::io_context& loop, RunRequest request, Spawned process, FileHandle out,
      FileHandle err, Hooks hooks)
      : request_(std::move(request)),
        process_(std::move(process)),
        hooks_(std::move(hooks)),
        exit_(loop, duplicate(process_.pidfd.get())),
        out_(loop, out.release()),
        err_(loop, err.release()),
        timer_(loop) {}

  ~Run() {
    if (ended_)
      return;
    signal_group(process_, SIGKILL);
    if (given_up_)
      return;
    pollfd waiting{.fd = process_.pidfd.get(), .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, kEndWaitMs) > 0)
      reap(process_);
  }

  void watch() {
    wait_for_exit();
    wait_for(out_, output_.out);
    wait_for(err_, output_.err);
    timer_.expires_after(request_.timeout);
    timer_.async_wait([weak = weak_from_this()](error_code error) {
      const auto self = weak.lock();
      if (!self || error || self->ended_)
        return;
      self->timed_out_ = true;
      self->kill();
    });
  }

  void cancel() {
    cancelled_ = true;
    kill();
  }

  pid_t pid() const { return process_.pid; }

 private:
  // One that hangs in the kernel, on a file system that does not answer, outlives its kill.
  void kill() {
    signal_group(process_, SIGKILL);
    timer_.expires_after(ProcessRunner::kKilledWait);
    timer_.async_wait([weak = weak_from_this()](error_code error) {
      const auto self = weak.lock();
      if (!self || error || self->ended_)
        return;
      self->given_up_ = true;
      self->tell();
    });
  }

  void tell() {
    const auto result = std::exchange(hooks_.result, nullptr);
    if (!result || cancelled_)
      return;
    output_.timed_out = timed_out_;
    if (timed_out_ && !request_.partial) {
      result(fail("gave up on", request_.argv.front(),
                  "it ran longer than " + to_text(request_.timeout)));
    } else {
      result(std::move(output_));
    }
  }

  void wait_for_exit() {
    exit_.async_wait(stream_descriptor::wait_read, [weak = weak_from_this()](error_code error) {
      const auto self = weak.lock();
      if (!self || error || self->ended_)
        return;
      if (!has_ended(self->process_))
        return self->wait_for_exit();
      self->finish();
    });
  }

  void wait_for(stream_descriptor& stream, std::string& text) {
    stream.async_wait(stream_descriptor::wait_read,
                      [weak = weak_from_this(), &stream, &text](error_code error) {
                        const auto self = weak.lock();
                        if (!self || error || self->ended_)
                          return;
                        if (self->read(stream, text, kReadsPerWake))
                          self->wait_for(stream, text);
                      });
  }

  // False at the end of the stream.
  bool read(stream_descriptor& stream, std::string& text, int reads_max) {
    return read_pieces(stream.native_handle(), reads_max, [&](std::string_view piece) {
      const std::size_t room = request_.output_bytes_max - text.size();
      if (piece.size() > room)
        output_.cut = true;
      text += piece.substr(0, room);
    });
  }

  void finish() {
    read(out_, output_.out, kReadsAtEnd);
    read(err_, output_.err, kReadsAtEnd);
    output_.status = reap(process_);
    ended_ = true;
    timer_.cancel();
    error_code ignored;
    for (auto* stream : {&exit_, &out_, &err_})
      stream->close(ignored);
    process_.pidfd.reset();
    const auto self = shared_from_this();
    hooks_.gone();
    tell();
  }

  RunRequest request_;
  Spawned process_;
  Hooks hooks_;
  stream_descriptor exit_;  // a duplicate of the pidfd
  stream_descriptor out_;
  stream_descriptor err_;
  LoopTimer timer_;
  RunOutput output_;
  bool cancelled_ = false;
  bool timed_out_ = false;
  bool given_up_ = false;  // it was killed and does not end
  bool ended_ = false;
};

class ProcessRunner::State : public std::enable_shared_from_this<State> {
 public:
  explicit State(boost::asio::io_context& loop) : loop_(loop) {}

  void start(RunId id, RunRequest request, Done done);

  std::map<RunId, std::shared_ptr<Run>> runs;
  std::map<RunId, Done> stillborn;  // could not be started; told on the next turn of the loop
  RunId last_id = 0;

 private:
  Result<std::shared_ptr<Run>> launch(RunId id, RunRequest request, Done done);

  boost::asio::io_context& loop_;
};

Result<std::shared_ptr<Run>> ProcessRunner::State::launch(RunId id, RunRequest request, Done done) {
  auto out = open_pipe();
  if (!out)
    return std::unexpected(out.error());
  auto err = open_pipe();
  if (!err)
    return std::unexpected(err.error());
  auto process = spawn(SpawnRequest{.argv = request.argv,
                                    .env = request.env,
                                    .out = out->write_end.get(),
                                    .err = err->write_end.get(),
                                    .nice = request.nice});
  if (!process)
    return std::unexpected(process.error());
  Run::Hooks hooks{.gone =
                       [weak = weak_from_this(), id] {
                         if (const auto self = weak.lock())
                           self->runs.erase(id);
                       },
                   .result =
                       [weak = weak_from_this(), done = std::move(done)](Result<RunOutput> result) {
                         if (weak.lock())
                           done(std::move(result));
                       }};
  return std::make_shared<Run>(loop_, std::move(request), std::move(*process),
                               std::move(out->read_end), std::move(err->read_end),
                               std::move(hooks));
}

void ProcessRunner::State::start(RunId id, RunRequest request, Done done) {
  auto run = launch(id, std::move(request), done);
  if (run) {
    (*run)->watch();
    runs.emplace(id, std::move(*run));
    return;
  }
  stillborn.emplace(id, std::move(done));
  boost::asio::post(loop_, [weak = weak_from_this(), id, error = run.error()] {
    const auto self = weak.lock();
    if (!self)
      return;
    const auto told = self->stillborn.extract(id);
    if (told)
      told.mapped()(std::unexpected(error));
  });
}

ProcessRunner::ProcessRunner(boost::asio::io_context& loop)
    : state_(std::make_shared<State>(loop)) {}

ProcessRunner::~ProcessRunner() = default;

RunId ProcessRunner::run(RunRequest request, Done done) {
  const RunId id = ++state_->last_id;
  state_->start(id, std::move(request), std::move(done));
  return id;
}

void ProcessRunner::cancel(RunId run) {
  const auto found = state_->runs.find(run);
  if (found != state_->runs.end())
    found->second->cancel();
  state_->stillborn.erase(run);
}

std::vector<RunningProcess> ProcessRunner::running() const {
  std::vector<RunningProcess> out;
  for (const auto& [id, run] : state_->runs)
    out.push_back({.run = id, .pid = run->pid()});
  return out;
}

std::optional<pid_t> ProcessRunner::pid(RunId run) const {
  const auto found = state_->runs.find(run);
  if (found == state_->runs.end())
    return std::nullopt;
  return found->second->pid();
}

}  // namespace tonnage
