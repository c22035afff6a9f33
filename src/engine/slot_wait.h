// SlotWait: looks at a server's slots until few enough of them work.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/tick.h"
#include "http/client.h"
#include "process/loop_timer.h"

namespace tonnage {

class SlotWait : public std::enable_shared_from_this<SlotWait> {
 public:
  struct Target {
    net::Address endpoint;
    std::string path;
    Duration wait_max;
    bool answering = true;  // the server was sending an answer when its client left
    bool notices = false;   // ServerSpec::notices_leaving
  };

  SlotWait(boost::asio::io_context& loop, Target target, std::function<int()> busy_at_most,
           std::function<void(bool)> done);

  void start();
  // Calls done, unless it was called before.
  void finish(bool idle);
  // Ends without a call.
  void abandon();
  bool finished() const { return !done_; }

 private:
  void look();
  void look_later();
  void judge(const net::ReplyOrNot& reply);
  Duration left() const;

  boost::asio::io_context& loop_;
  Target target_;
  std::function<int()> busy_at_most_;
  std::function<void(bool)> done_;
  LoopTimer timer_;
  LoopClock::time_point deadline_;
  Duration pause_;
  LoopClock::time_point quick_until_;
  net::ClientCall call_;
};

}  // namespace tonnage
