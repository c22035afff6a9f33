#include "daemon/device_watch.h"

#include <utility>

#include <boost/asio/post.hpp>

namespace vramd {

DeviceWatch::DeviceWatch(boost::asio::io_context& io, Survey survey, Take take)
    : io_(io), survey_(std::move(survey)), take_(std::move(take)) {}

DeviceWatch::~DeviceWatch() {
  worker_.join();
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
  boost::asio::post(
      worker_, [this] { boost::asio::post(io_, [this, survey = survey_()] { end(survey); }); });
}

void DeviceWatch::end(const DeviceSurvey& survey) {
  busy_ = false;
  if (stopped_)
    return;
  if (std::exchange(drop_, false))
    return begin();
  take_(survey);
}

}  // namespace vramd
