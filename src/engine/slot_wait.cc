#include "engine/slot_wait.h"

#include <algorithm>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "base/loop_clock.h"
#include "engine/slots.h"

namespace tonnage {
namespace {

// A server notices within one decode step that nobody reads its answer: such a step takes about
// this long on a small model, and then looks become rarer.
constexpr Duration kFirstPause = 5ms;
constexpr Duration kPauseMax = 20ms;
// A server that is not patched, and has nothing to write yet, looks for its client only after a
// whole second in which no result was sent to anybody (llama.cpp tools/server:
// HTTP_POLLING_SECONDS, and recv_with_timeout, which begins anew with each result), and an answer
// on /slots is a result. Looks that come more often would keep it at work for nobody.
constexpr Duration kQuickFor = 400ms;
constexpr Duration kQuietPause = 1200ms;

}  // namespace

SlotWait::SlotWait(boost::asio::io_context& loop, Target target, std::function<int()> busy_at_most,
                   std::function<void(bool)> done)
    : loop_(loop),
      target_(std::move(target)),
      busy_at_most_(std::move(busy_at_most)),
      done_(std::move(done)),
      timer_(loop),
      deadline_(LoopClock::now() + target_.wait_max),
      pause_(target_.notices || target_.answering ? kFirstPause : kQuietPause),
      quick_until_(LoopClock::now() + kQuickFor) {}

void SlotWait::start() {
  look_later();
}

Duration SlotWait::left() const {
  return std::chrono::duration_cast<Duration>(deadline_ - LoopClock::now());
}

void SlotWait::look_later() {
  timer_.expires_after(std::min(pause_, left()));
  const bool quick = target_.notices || (target_.answering && LoopClock::now() < quick_until_);
  pause_ = quick ? std::min(pause_ * 3 / 2, kPauseMax) : kQuietPause;
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error && !self->finished())
      self->look();
  });
}

void SlotWait::look() {
  if (left() <= Duration::zero())
    return finish(false);
  // A server in a long step answers only after it.
  call_ = net::http_get(loop_, target_.endpoint, target_.path, left(),
                        [weak = weak_from_this()](const net::ReplyOrNot& reply) {
                          if (const auto self = weak.lock())
                            self->judge(reply);
                        });
}

void SlotWait::judge(const net::ReplyOrNot& reply) {
  call_.cancel();
  if (finished())
    return;
  if (!reply || reply->status == 503)
    return look_later();
  const auto busy = reply->status == 200 ? count_busy_slots(reply->body) : std::nullopt;
  if (!busy)
    return finish(false);
  if (*busy <= busy_at_most_())
    return finish(true);
  look_later();
}

void SlotWait::abandon() {
  done_ = nullptr;
  finish(false);
}

void SlotWait::finish(bool idle) {
  call_.cancel();
  timer_.cancel();
  busy_at_most_ = nullptr;
  if (const auto done = std::exchange(done_, nullptr))
    done(idle);
}

}  // namespace tonnage
