#include "engine/server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "base/descriptors.h"
#include "process/activity.h"
#include "process/stat.h"

namespace tonnage {
namespace {

using boost::system::error_code;

// Readiness is looked for every kPollMin at first and later in proportion to the time waited, so
// that it is seen at most a twentieth late.
constexpr std::chrono::milliseconds kPollMin{2};
constexpr std::chrono::milliseconds kPollMax{50};
constexpr int kPollShare = 20;
// A server that prints something may just have become ready; it is asked sooner, but not more often
// than this share of the time waited.
constexpr int kHintShare = 100;
constexpr Duration kReadinessAnswerMax = 1s;
// Probes that are late are counted and replaced by tick(), long before this.
constexpr Duration kProbeMax = 60s;
// A look at slots is answered after a step of the engine, which may take minutes.
constexpr Duration kSlotsLookMax = 3600s;
// A slot of llama-server describes itself in about 2 KiB; 64 slots fit eight times.
constexpr Bytes kSlotsBytesMax = 1_MiB;

int duplicate_of(int fd) {
  return open_with_reserve([fd] { return ::fcntl(fd, F_DUPFD_CLOEXEC, 3); });
}

}  // namespace

Server::Server(boost::asio::io_context& loop, ServerSpec spec, Spawned process, FileHandle output,
               LogRing& log, const SupervisorOptions& options, Hooks hooks)
    : loop_(loop),
      spec_(std::move(spec)),
      process_(std::move(process)),
      log_(log),
      options_(options),
      hooks_(std::move(hooks)),
      exit_(loop, duplicate_of(process_.pidfd.get())),
      output_(loop, output.release()),
      poll_timer_(loop),
      stop_timer_(loop) {}

Server::~Server() {
  if (ended_)
    return;
  for (const auto& wait : slot_waits_)
    wait->abandon();
  signal_group(process_, SIGKILL);
  if (undead_)
    return;
  pollfd waiting{.fd = process_.pidfd.get(), .events = POLLIN, .revents = 0};
  // One that does not leave (in an uninterruptible call) dies with this thread at the latest.
  if (::poll(&waiting, 1, kEndWaitMs) > 0)
    reap(process_);
  forget_socket();
}

void Server::watch() {
  wait_for_exit();
  wait_for_output();
  poll_ready_in(kPollMin);
}

void Server::wait_for_exit() {
  exit_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                   [weak = weak_from_this()](const error_code& error) {
                     const auto self = weak.lock();
                     if (!self || error || self->ended_)
                       return;
                     if (!has_ended(self->process_))
                       return self->wait_for_exit();
                     self->finish();
                   });
}

void Server::wait_for_output() {
  output_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                     [weak = weak_from_this()](const error_code& error) {
                       const auto self = weak.lock();
                       if (!self || error || self->ended_)
                         return;
                       if (self->read_output(kReadsPerWake))
                         self->wait_for_output();
                       self->heard_something();
                     });
}

// False at the end of the output.
bool Server::read_output(int reads_max) {
  return read_pieces(output_.native_handle(), reads_max, [this](std::string_view piece) {
    liveness_.heard(Clock::now());
    log_.append(spec_.generation, piece);
  });
}

void Server::poll_ready_in(Clock::duration pause) {
  poll_timer_.expires_after(pause);
  poll_timer_.async_wait([weak = weak_from_this(), poll = ++polls_](const error_code& error) {
    const auto self = weak.lock();
    // An expired wait may already be queued when it is replaced: only the newest counts.
    if (self && !error && poll == self->polls_)
      self->poll_ready();
  });
}

void Server::poll_ready() {
  if (ready_ || told_to_stop_ || ended_)
    return;
  polled_ = Clock::now();
  probe_ =
      ask(spec_.health_path, kReadinessAnswerMax, [](Server& self, const net::ReplyOrNot& reply) {
        self.readiness_answer(reply && reply->status == 200);
      });
}

void Server::readiness_answer(bool well) {
  probe_.cancel();
  if (ready_ || told_to_stop_ || ended_)
    return;
  if (!well) {
    const auto pause = (Clock::now() - started_) / kPollShare;
    poll_ready_in(std::clamp<Clock::duration>(pause, kPollMin, kPollMax));
    return;
  }
  ready_ = true;
  liveness_.ready(Clock::now());
  ++polls_;
  poll_timer_.cancel();
  hooks_.ready();
}

void Server::heard_something() {
  if (ready_ || told_to_stop_ || ended_ || probe_)
    return;
  const auto now = Clock::now();
  const auto gap = std::clamp<Clock::duration>((now - started_) / kHintShare, kPollMin, kPollMax);
  const auto pause = std::max<Clock::duration>(polled_ + gap - now, Clock::duration::zero());
  if (poll_timer_.expiry() > now + pause)
    poll_ready_in(pause);
}

void Server::tick(bool loop_was_late) {
  if (told_to_stop_ || unresponsive_ || ended_ || failure_)
    return;
  const auto now = Clock::now();
  if (auto why = liveness_.watch(now, read_process_activity(process_.pid))) {
    if (ready_)
      return give_up(std::move(*why));
    failure_ = Failure{FailureKind::load_timeout, std::move(*why)};
    ++polls_;
    poll_timer_.cancel();
    probe_.cancel();
    return kill();
  }
  if (!ready_)
    return;
  look_at_slots(now);
  const auto stat = read_process_stat(process_.pid);
  if (stat && stat->state == 'T') {
    give_up("its process is stopped (state T)");
    return;
  }
  if (probe_ && !loop_was_late)
    ++missed_;
  if (missed_ >= options_.probes_missed_max) {
    give_up("no answer on " + spec_.health_path + " for " +
            to_text(options_.probe_interval * missed_));
    return;
  }
  probe();
}

void Server::probe() {
  // tick() looks whether it is still on its way.
  probe_ = ask(spec_.health_path, kProbeMax, [](Server& self, const net::ReplyOrNot& reply) {
    self.probe_.cancel();
    if (reply) {
      // Any answer is a sign of life; its status is the request's business.
      self.missed_ = 0;
    } else if (!is_own_shortage(reply.error().system)) {
      // Only the server's silence counts, not that this process may open nothing more.
      ++self.missed_;
    }
  });
}

void Server::look_at_slots(Clock::time_point now) {
  if (spec_.slots_path.empty() || !liveness_.wants_slots(now))
    return;
  liveness_.slots_asked(now);
  slots_look_ =
      ask(spec_.slots_path, kSlotsLookMax, [](Server& self, const net::ReplyOrNot& reply) {
        self.slots_look_.cancel();
        if (!reply)
          return self.liveness_.slots_failed();
        self.liveness_.slots_told(Clock::now(), reply->body);
      });
}

net::ClientCall Server::ask(const std::string& path, Duration timeout,
                            void (*heard)(Server&, const net::ReplyOrNot&)) {
  return net::http_request(loop_,
                           {.address = spec_.endpoint,
                            .target = path,
                            .timeout = timeout,
                            .reply_max = kSlotsBytesMax,
                            .wait_for_room = false},
                           [weak = weak_from_this(), heard](const net::ReplyOrNot& reply) {
                             if (const auto self = weak.lock())
                               heard(*self, reply);
                           });
}

void Server::give_up(std::string why) {
  unresponsive_ = true;
  probe_.cancel();
  slots_look_.cancel();
  hooks_.unresponsive(std::move(why));
}

void Server::stop(bool kill_at_once) {
  if (ended_ || undead_)
    return;
  const bool first = !told_to_stop_;
  told_to_stop_ = true;
  ++polls_;
  poll_timer_.cancel();
  probe_.cancel();
  slots_look_.cancel();
  if (kill_at_once) {
    kill();
    return;
  }
  if (!first)
    return;
  signal_group(process_, SIGTERM);
  // A stopped process handles its SIGTERM only when it is continued.
  signal_group(process_, SIGCONT);
  stop_timer_.expires_after(options_.stop_timeout);
  stop_timer_.async_wait([weak = weak_from_this()](const error_code& error) {
    const auto self = weak.lock();
    if (self && !error && !self->ended_)
      self->kill();
  });
}

// Memory of many gigabytes takes seconds to give back; a process in an uninterruptible call, on a
// file system that does not answer, never ends.
void Server::kill() {
  signal_group(process_, SIGKILL);
  stop_timer_.expires_after(options_.killed_wait);
  stop_timer_.async_wait([weak = weak_from_this()](const error_code& error) {
    const auto self = weak.lock();
    if (!self || error || self->ended_)
      return;
    self->undead_ = true;
    self->hooks_.undead();
  });
}

void Server::catch_up() {
  read_output(kReadsAtEnd);
}

void Server::await_slots(bool answering, std::function<int()> busy_at_most,
                         std::function<void(bool)> done) {
  std::erase_if(slot_waits_, [](const auto& wait) { return wait->finished(); });
  auto wait = std::make_shared<SlotWait>(loop_,
                                         SlotWait::Target{.endpoint = spec_.endpoint,
                                                          .path = spec_.slots_path,
                                                          .wait_max = options_.slots_wait_max,
                                                          .answering = answering,
                                                          .notices = spec_.notices_leaving},
                                         std::move(busy_at_most), std::move(done));
  wait->start();
  slot_waits_.push_back(std::move(wait));
}

void Server::finish() {
  read_output(kReadsAtEnd);
  log_.finish(spec_.generation);
  const ExitStatus status = reap(process_);
  ended_ = true;
  ++polls_;
  probe_.cancel();
  slots_look_.cancel();
  poll_timer_.cancel();
  stop_timer_.cancel();
  error_code ignored;
  exit_.close(ignored);
  output_.close(ignored);
  process_.pidfd.reset();
  forget_socket();
  for (const auto& wait : std::exchange(slot_waits_, {}))
    wait->finish(true);
  hooks_.exited(status);
}

void Server::forget_socket() const {
  if (spec_.endpoint.is_unix())
    ::unlink(spec_.endpoint.unix_path.c_str());
}

}  // namespace tonnage
