// LoopTimer: a timer of the loop whose time stands still while the process does not run.
#pragma once

#include <boost/asio/basic_waitable_timer.hpp>

#include "base/loop_clock.h"

namespace tonnage {

using LoopTimer = boost::asio::basic_waitable_timer<LoopClock>;

}  // namespace tonnage
