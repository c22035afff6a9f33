// DeviceWatch: surveys of the GPUs off the loop, one at a time.
#pragma once

#include <functional>
#include <memory>

#include <boost/asio/io_context.hpp>

#include "probe/gpu/device_probe.h"

namespace tonnage {

// A driver takes microseconds to seconds to answer, so it is asked on a thread of its own; what it
// said is taken on the loop's.
class DeviceWatch {
 public:
  using Survey = std::function<DeviceSurvey()>;
  using Take = std::function<void(const DeviceSurvey&)>;

  // `survey` blocks and is called by the watch's thread only.
  DeviceWatch(boost::asio::io_context& io, Survey survey, Take take);
  // Does not wait for a driver that hangs: its thread is left behind, and so is `survey`.
  ~DeviceWatch();
  DeviceWatch(const DeviceWatch&) = delete;
  DeviceWatch& operator=(const DeviceWatch&) = delete;

  // Nothing where a survey is under way.
  void look();
  // What is taken next began after this call: of a survey under way the result is dropped, because
  // it may not have seen what just happened.
  void look_afresh();
  // Nothing is taken any more.
  void stop();

 private:
  void begin();
  void end(const DeviceSurvey& survey);

  struct Asker;  // the thread's side

  Take take_;
  std::shared_ptr<Asker> asker_;
  bool busy_ = false;
  bool drop_ = false;
  bool stopped_ = false;
};

}  // namespace tonnage
