// MemoryWatch: samples the pools and every server, regularly and when something happened, and tells
// the core.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "base/tick.h"
#include "config/config.h"
#include "core/events.h"
#include "daemon/device_account.h"
#include "daemon/device_pools.h"
#include "daemon/device_watch.h"
#include "daemon/engine_room.h"
#include "daemon/stall_watch.h"
#include "probe/host_probe.h"
#include "probe/process_probe.h"
#include "process/loop_timer.h"

namespace tonnage {

class MemoryWatch {
 public:
  // What it asks and tells the core.
  struct Core {
    std::function<void(Event)> post;
    std::function<std::vector<DeviceCharge>()> charges;
    // Whether a model works, loads or leaves: then memory is looked at more often.
    std::function<bool()> active;
    // Whether memory of a server or a dry run that ended has not been seen free yet.
    std::function<bool()> awaits_release;
  };

  // `survey` as DeviceWatch; never called where `pools` has no GPU. The intervals of `config` are
  // looked up each time.
  MemoryWatch(boost::asio::io_context& io, const Config& config, EngineRoom& engines,
              const DevicePools& pools, DeviceWatch::Survey survey, Core core);

  // Takes the survey that the pools were made from, samples the host, then both every interval. A
  // first sample of the host that fails is an error of the caller's.
  Result<void> start(const DeviceSurvey& first);
  void stop();
  // The configuration was replaced by another one, in place.
  void reconfigured();

  // The host and the servers now. A failure changes nothing: the last sample stays, and health
  // shows its age.
  void refresh();
  // A server is started: it is looked at within the shorter interval.
  void server_starts();
  // A server became ready: what it holds on devices can be seen from now on.
  void server_ready();
  // A server was told to stop, or one or a dry run has ended: devices are looked at every 10 ms,
  // and up to every 250 ms, until what it held is seen free or the core has given up on it.
  void await_release();

  const std::string& source() const { return source_; }
  // GPUs that tell no numbers now, each with why: their pools stand at their last sample.
  std::vector<HealthProblem> problems() const;

 private:
  void wait();
  Duration pace() const;
  void judge_pace(const std::vector<PoolSampled>& pools);
  void look();
  Result<void> sample();
  void take(const DeviceSurvey& survey);
  void note_silence(std::vector<SilentPool> silent);
  void note_left_out(const std::vector<std::string>& left_out);
  void tell(const ServerSampled& event);
  void look_for_release();
  std::vector<OwnTree> own_trees() const;
  Bytes unseen_on_unified(const std::map<Generation, Bytes>& seen) const;
  Bytes weights_on_tmpfs(const RunningServer& server, Bytes shmem);

  LoopTimer timer_;
  LoopTimer release_timer_;
  const Config& config_;
  EngineRoom& engines_;
  const DevicePools& pools_;
  Core core_;
  HostProbe host_;
  ProcessProbe processes_;
  DeviceAccount account_;
  DeviceWatch devices_;
  StallWatch stalls_;
  std::string source_;
  std::set<std::string> said_;  // what the host's probe left out, and the log has named
  std::map<Generation, ServerSampled> told_;  // what the core was last told of each server
  struct OnTmpfs {
    Bytes shmem;  // of the server, when it was looked at
    Bytes weights;
  };
  std::map<Generation, OnTmpfs> on_tmpfs_;
  std::map<Generation, std::vector<Bytes>> on_devices_;
  std::map<Generation, Bytes> in_host_;  // held there by drivers
  std::vector<SilentPool> silent_;
  std::vector<Bytes> foreign_;        // of each device pool, as last seen
  LoopClock::time_point moved_at_{};  // foreign use of a device, by much
  bool tight_ = false;                // a device is nearly as full as it may be
  bool releasing_ = false;
  Duration release_pause_{};
};

}  // namespace tonnage
