// How a relay ends: whole, held, timed out, broken, or without its client.
#include <algorithm>
#include <cerrno>
#include <utility>

#include <boost/asio/post.hpp>

#include "base/check.h"
#include "net/relaying.h"

namespace tonnage::net {

// The earlier of the stage's and the whole relay's deadline; zero means none.
void Relay::set_deadline(Duration stage_timeout) {
  if (stage_timeout == 0s && target_.total_timeout == 0s)
    return timer_.disarm();
  auto deadline = Clock::time_point::max();
  if (stage_timeout > 0s)
    deadline = Clock::now() + stage_timeout;
  if (target_.total_timeout > 0s)
    deadline = std::min(deadline, started_ + target_.total_timeout);
  timer_.arm(deadline);
}

void Relay::on_timeout() {
  const auto self = shared_from_this();
  const auto now = Clock::now();
  const bool total = target_.total_timeout > 0s && now >= started_ + target_.total_timeout;
  if (stage_ == Stage::connecting) {
    const bool over = total || now - stage_began_ >= target_.connect_timeout;
    if (in_backlog_ && !over)
      return connect_fresh();
    return connect_failed(ETIMEDOUT);
  }
  using Timeout = RelayResult::Timeout;
  if (total)
    return broke("the whole answer took too long", Timeout::total);
  if (stage_ == Stage::waiting)
    return broke("no answer began in time", Timeout::first_byte);
  broke("the answer paused for too long", Timeout::idle);
}

void Relay::release_upstream(bool reusable) {
  if (!upstream_)
    return;
  const auto upstream = std::move(upstream_);
  upstream->set_user(nullptr);
  if (reusable) {
    core_.upstreams.give_back(upstream);
  } else {
    upstream->close();
  }
}

void Relay::complete() {
  const auto self = shared_from_this();
  const bool reusable = upstream_->parser().done() && upstream_->parser().keep_alive() &&
                        upstream_->unread().empty() && !upstream_->write_pending();
  stage_ = Stage::ended;
  timer_.disarm();
  release_upstream(reusable);
  result_.end = RelayResult::End::complete;
  Connection& connection = *std::exchange(connection_, nullptr);
  if (mode_ == Mode::one_event) {
    connection.finish_answer();
  } else {
    connection.finish_relayed();
  }
  run_done();
}

void Relay::broke(std::string why, RelayResult::Timeout timeout) {
  result_.why = std::move(why);
  result_.timeout = timeout;
  const bool timed_out = timeout != RelayResult::Timeout::none;
  using End = RelayResult::End;
  // What the client has not taken yet lies in the buffer of the server's connection.
  if (sending_ && connection_ != nullptr)
    connection_->adopt_pending();
  sending_ = false;
  if (head_sent_) {
    end(timed_out ? End::timed_out_midstream : End::broken_midstream);
  } else {
    end(timed_out ? End::timed_out_before_body : End::lost_before_body);
  }
}

void Relay::end(RelayResult::End how) {
  const auto self = shared_from_this();
  // A held answer that came whole leaves its connection in good order.
  const bool reusable = how == RelayResult::End::held && upstream_->parser().done() &&
                        upstream_->parser().keep_alive() && upstream_->unread().empty() &&
                        !upstream_->write_pending();
  stage_ = Stage::ended;
  timer_.disarm();
  release_upstream(reusable);
  result_.end = how;
  if (!head_sent_) {
    std::exchange(connection_, nullptr)->relay_over();  // `done` may relay again
    return run_done();
  }
  run_done();
  if (connection_ != nullptr && !broken_finished_)
    connection_->cut_broken();
}

void Relay::end_later(RelayResult::End how, std::string why) {
  stage_ = Stage::ended;
  timer_.disarm();
  release_upstream(false);
  result_.end = how;
  result_.why = std::move(why);
  boost::asio::post(core_.io, [self = shared_from_this()] {
    if (self->connection_ != nullptr)
      std::exchange(self->connection_, nullptr)->relay_over();
    self->run_done();
  });
}

void Relay::client_gone() {
  connection_ = nullptr;
  if (stage_ == Stage::ended)
    return;
  end_later(RelayResult::End::client_gone, "the client left or took no bytes");
}

void Relay::cut(std::string why) {
  boost::asio::post(core_.io, [self = shared_from_this(), why = std::move(why)]() mutable {
    if (self->stage_ != Stage::ended)
      self->broke(std::move(why));
  });
}

void Relay::run_done() {
  result_.total_time = std::chrono::duration_cast<Duration>(Clock::now() - started_);
  // The exchange stays until `done` has run, which may be the last to hold it.
  const auto exchange = std::move(exchange_);
  auto done = std::exchange(done_, nullptr);
  done(std::move(result_));
}

bool Relay::finish_broken(std::string_view last_event) {
  if (connection_ == nullptr || stage_ != Stage::ended || broken_finished_)
    return false;
  const Framing framing = connection_->framing();
  const bool open_end = framing == Framing::chunked || framing == Framing::until_close;
  if (!event_stream_ || !open_end)
    return false;
  broken_finished_ = true;
  Connection& connection = *connection_;
  connection.adopt_pending();
  // An event that was cut short is closed first, or it would swallow this one.
  const std::string_view tail(tail_.data(), tail_.size());
  if (!tail.ends_with("\n\n") && tail != "\r\n\r\n")
    connection.append_stream("\n\n");
  connection.append_stream(last_event);
  connection.finish_answer();
  return true;
}

}  // namespace tonnage::net
