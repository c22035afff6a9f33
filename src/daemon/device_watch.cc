#include "daemon/device_watch.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include <boost/asio/post.hpp>

namespace tonnage {

// Everything but `survey` is guarded by `lock`. While `ended` is false, loop and watch are there.
struct DeviceWatch::Asker {
  Asker(boost::asio::io_context& loop, DeviceWatch& owner, Survey question)
      : io(loop), watch(owner), survey(std::move(question)) {}

  void run();

  boost::asio::io_context& io;
  DeviceWatch& watch;
  Survey survey;
  std::mutex lock;
  std::condition_variable wake;
  bool started = false;
  bool wanted = false;
  bool ended = false;
};

void DeviceWatch::Asker::run() {
  std::unique_lock guard(lock);
  while (!ended) {
    if (!wanted) {
      wake.wait(guard);
      continue;
    }
    wanted = false;
    guard.unlock();
    auto found = std::make_shared<DeviceSurvey>(survey());
    guard.lock();
    if (!ended)
      boost::asio::post(io, [to = &watch, found = std::move(found)] { to->end(*found); });
  }
}

DeviceWatch::DeviceWatch(boost::asio::io_context& io, Survey survey, Take take)
    : take_(std::move(take)), asker_(std::make_shared<Asker>(io, *this, std::move(survey))) {}

DeviceWatch::~DeviceWatch() {
  const std::lock_guard guard(asker_->lock);
  asker_->ended = true;
  asker_->wake.notify_one();
}

void DeviceWatch::look() {
  if (!busy_ && !stopped_)
    begin();
}

void DeviceWatch::look_afresh() {
  drop_ = busy_;
  look();
}

void DeviceWatch::stop() {
  stopped_ = true;
}

void DeviceWatch::begin() {
  busy_ = true;
  const std::lock_guard guard(asker_->lock);
  asker_->wanted = true;
  asker_->wake.notify_one();
  // A machine without GPUs has no such thread.
  if (!std::exchange(asker_->started, true))
    std::thread([asker = asker_] { asker->run(); }).detach();
}

void DeviceWatch::end(const DeviceSurvey& survey) {
  busy_ = false;
  if (stopped_)
    return;
  if (std::exchange(drop_, false))
    return begin();
  take_(survey);
}

}  // namespace tonnage
