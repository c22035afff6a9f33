#include "daemon/stall_watch.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

namespace tonnage {
namespace {

// The kernel takes no others from those who are not privileged.
constexpr Duration kWindow = 2s;

}  // namespace

std::optional<Duration> trigger_stall(const PressurePolicy& policy, PsiTrigger::Kind kind) {
  std::optional<Duration> least;
  for (const PressureLevel& level : policy.levels) {
    const auto permille =
        kind == PsiTrigger::Kind::some ? level.stall_some_permille : level.stall_full_permille;
    if (!permille || !level.host || *permille <= 0)
      continue;
    const Duration stall = kWindow * std::min<std::int64_t>(*permille, 1000) / 1000;
    least = std::min(least.value_or(stall), stall);
  }
  return least;
}

StallWatch::StallWatch(boost::asio::io_context& io, std::string root,
                       std::function<void(Event)> post, std::function<void()> stalled)
    : io_(io), probe_(std::move(root)), post_(std::move(post)), stalled_(std::move(stalled)) {}

StallWatch::~StallWatch() = default;

void StallWatch::arm(const PressurePolicy& policy) {
  stop();
  for (const auto kind : {PsiTrigger::Kind::some, PsiTrigger::Kind::full}) {
    const auto stall = trigger_stall(policy, kind);
    for (const std::string& file : probe_.files()) {
      if (stall)
        arm(file, kind, *stall);
    }
  }
}

void StallWatch::arm(const std::string& file, PsiTrigger::Kind kind, Duration stall) {
  auto trigger = PsiTrigger::open(file, kind, stall, kWindow);
  if (!trigger) {
    spdlog::debug("{}", trigger.error().text());
    return;
  }
  const int fd = ::fcntl(trigger->fd(), F_DUPFD_CLOEXEC, 3);
  if (fd < 0)
    return;
  auto armed = std::make_shared<Armed>(
      Armed{std::move(*trigger), boost::asio::posix::stream_descriptor(io_, fd)});
  armed_.push_back(armed);
  wait(armed);
}

void StallWatch::wait(const std::shared_ptr<Armed>& armed) {
  armed->wait.async_wait(boost::asio::posix::stream_descriptor::wait_error,
                         [this, armed](const boost::system::error_code& error) {
                           if (error || armed->trigger.gone())
                             return;
                           sample();
                           stalled_();
                           wait(armed);
                         });
}

void StallWatch::sample() {
  const auto sampled = probe_.sample();
  if (!sampled)
    return;
  const StallSampled event{sampled->some_permille, sampled->full_permille};
  // No stall, as before, is no news; a stall that lasts is.
  if (event == told_ && event == StallSampled{})
    return;
  told_ = event;
  post_(event);
}

void StallWatch::stop() {
  for (const auto& armed : armed_) {
    boost::system::error_code ignored;
    armed->wait.close(ignored);
  }
  armed_.clear();
}

}  // namespace tonnage
