#include "daemon/memory_watch.h"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/loop_clock.h"

namespace tonnage {
namespace {

// Drivers give memory back within 0.5 to 1.5 s as a rule.
constexpr Duration kReleasePauseMin = 10ms;
constexpr Duration kReleasePauseMax = 250ms;

// A program that loads a model takes a card's memory at 1 GiB/s and more, and what is kept free for
// it is 1 GiB at most: it must be seen within some tenths of a second, or it is refused memory
// because of us. So a device whose foreign use moves is looked at this often, for a while; and one
// that is nearly full, while models work.
constexpr Duration kMovingPause = 100ms;
constexpr Duration kTightPause = 250ms;
constexpr Duration kMovingFor = 5s;
constexpr Bytes kMove = 32_MiB;

}  // namespace

MemoryWatch::MemoryWatch(boost::asio::io_context& io, const Config& config, EngineRoom& engines,
                         const DevicePools& pools, DeviceWatch::Survey survey, Core core)
    : timer_(io),
      release_timer_(io),
      config_(config),
      engines_(engines),
      pools_(pools),
      core_(std::move(core)),
      account_(pools),
      devices_(io, std::move(survey), [this](const DeviceSurvey& found) { take(found); }),
      stalls_(io, "/", core_.post, [this] { look(); }) {}

Result<void> MemoryWatch::start(const DeviceSurvey& first) {
  auto sampled = sample();
  if (!sampled)
    return sampled;
  if (pools_.any())
    take(first);
  stalls_.arm(config_.policy.pressure);
  wait();
  return sampled;
}

void MemoryWatch::stop() {
  timer_.cancel();
  release_timer_.cancel();
  devices_.stop();
  stalls_.stop();
}

void MemoryWatch::reconfigured() {
  stalls_.arm(config_.policy.pressure);
  wait();
}

// A round costs about 50 us and 13 us for each server, and for GPUs what their driver takes, on a
// thread of its own.
void MemoryWatch::wait() {
  timer_.expires_after(pace());
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error)
      return;
    stalls_.sample();
    look();
    wait();
  });
}

Duration MemoryWatch::pace() const {
  const bool active = core_.active();
  Duration pause = active ? config_.probe.active_interval : config_.probe.interval;
  if (LoopClock::now() - moved_at_ < kMovingFor)
    pause = std::min(pause, kMovingPause);
  if (active && tight_)
    pause = std::min(pause, kTightPause);
  return pause;
}

void MemoryWatch::judge_pace(const std::vector<PoolSampled>& pools) {
  const auto now = LoopClock::now();
  foreign_.resize(pools_.devices().size());
  tight_ = false;
  for (const PoolSampled& pool : pools) {
    Bytes& before = foreign_[pool.pool.value - 1];
    if (std::max(pool.foreign, before) - std::min(pool.foreign, before) >= kMove)
      moved_at_ = now;
    before = pool.foreign;
    const Bytes usable = usable_of(config_.policy.pools[pool.pool.value], pool.capacity);
    tight_ = tight_ || pool.used > permille_of(usable, 750);
  }
  if (timer_.expiry() > now + pace())
    wait();
}

void MemoryWatch::look() {
  refresh();
  if (pools_.any())
    devices_.look();
}

void MemoryWatch::refresh() {
  if (const auto sampled = sample(); !sampled)
    spdlog::debug("{}", sampled.error().text());
}

void MemoryWatch::server_starts() {
  if (timer_.expiry() > LoopClock::now() + config_.probe.active_interval)
    wait();
}

void MemoryWatch::server_ready() {
  refresh();
  if (pools_.any())
    devices_.look_afresh();
}

void MemoryWatch::await_release() {
  if (pools_.devices().empty())
    return;
  release_pause_ = kReleasePauseMin;
  if (!std::exchange(releasing_, true))
    look_for_release();
}

void MemoryWatch::look_for_release() {
  release_timer_.expires_after(release_pause_);
  release_pause_ = std::min(kReleasePauseMax, release_pause_ * 3 / 2);
  release_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error)
      devices_.look_afresh();
  });
}

// What servers are charged for and nobody sees: on GPUs that share the host's memory, where no
// source tells what a process holds there.
Bytes MemoryWatch::unseen_on_unified(const std::map<Generation, Bytes>& seen) const {
  Bytes unseen;
  if (pools_.unified().empty() || !in_host_.empty())
    return unseen;
  for (const DeviceCharge& charge : core_.charges()) {
    const auto found = seen.find(charge.generation);
    if (charge.ready && found != seen.end())
      unseen += std::max(Bytes(0), charge.host - found->second);
  }
  return unseen;
}

// Asked for only where a server holds much shared memory, and again when that changed by much.
Bytes MemoryWatch::weights_on_tmpfs(const RunningServer& server, Bytes shmem) {
  constexpr Bytes kMuch = 16_MiB;
  const auto known = on_tmpfs_.find(server.generation);
  const Bytes before = known == on_tmpfs_.end() ? Bytes(0) : known->second.shmem;
  if (shmem < before + kMuch && before < shmem + kMuch)
    return known == on_tmpfs_.end() ? Bytes(0) : std::min(shmem, known->second.weights);
  const Bytes weights = processes_.read_only_shmem(server.pid);
  on_tmpfs_[server.generation] = {shmem, weights};
  return std::min(shmem, weights);
}

Result<void> MemoryWatch::sample() {
  Bytes ours;
  std::map<Generation, Bytes> seen;
  for (const RunningServer& server : engines_.servers()) {
    const auto memory = processes_.tree(server.pid);
    if (!memory)
      continue;  // it ended meanwhile; its exit is on the way
    const auto by_driver = in_host_.find(server.generation);
    const Bytes shared = by_driver == in_host_.end() ? Bytes(0) : by_driver->second;
    ours += memory->unreclaimable() + shared;
    seen[server.generation] = memory->held() - weights_on_tmpfs(server, memory->shmem) + shared;
  }
  for (const RunningProcess& run : engines_.dry_runs()) {
    if (const auto memory = processes_.tree(run.pid))
      ours += memory->unreclaimable();
  }
  const auto host = host_.sample(ours + unseen_on_unified(seen));
  if (!host)
    return std::unexpected(host.error());
  source_ = host->source;
  note_left_out(host->left_out);
  std::erase_if(on_tmpfs_, [&seen](const auto& entry) { return !seen.contains(entry.first); });
  std::erase_if(told_, [&seen](const auto& entry) { return !seen.contains(entry.first); });
  for (const auto& [generation, held] : seen) {
    const auto devices = on_devices_.find(generation);
    tell({generation, held, devices == on_devices_.end() ? std::vector<Bytes>{} : devices->second});
  }
  core_.post(PoolSampled{.pool = kHostPool,
                         .capacity = host->capacity,
                         .foreign = host->foreign,
                         .used = host->capacity - host->available,
                         .orphaned = std::nullopt});
  return {};
}

// The time of a server's sample means nothing to the core: what it knows already is not news.
void MemoryWatch::tell(const ServerSampled& event) {
  ServerSampled& told = told_.try_emplace(event.generation).first->second;
  if (told == event)
    return;
  told = event;
  core_.post(event);
}

std::vector<OwnTree> MemoryWatch::own_trees() const {
  std::vector<OwnTree> own;
  for (const RunningServer& server : engines_.servers())
    own.push_back({server.generation, processes_.tree_pids(server.pid)});
  for (const RunningProcess& run : engines_.dry_runs())
    own.push_back({std::nullopt, processes_.tree_pids(run.pid)});
  return own;
}

std::vector<HealthProblem> MemoryWatch::problems() const {
  std::vector<HealthProblem> problems;
  for (const SilentPool& silent : silent_) {
    problems.push_back({"probe_failed", config_.policy.pools[silent.pool.value].name +
                                            " reports no data: " + silent.why});
  }
  return problems;
}

// Once each, however often it comes and goes.
void MemoryWatch::note_left_out(const std::vector<std::string>& left_out) {
  constexpr std::size_t kSaidMax = 32;
  for (const std::string& problem : left_out) {
    if (said_.size() < kSaidMax && said_.insert(problem).second)
      spdlog::warn("left out of the host's available memory: {}", problem);
  }
}

// Each change is said once in the log.
void MemoryWatch::note_silence(std::vector<SilentPool> silent) {
  for (const SilentPool& now : silent) {
    if (std::ranges::find(silent_, now.pool, &SilentPool::pool) == silent_.end()) {
      spdlog::warn("{} reports no data; its last sample is used: {}",
                   config_.policy.pools[now.pool.value].name, now.why);
    }
  }
  for (const SilentPool& before : silent_) {
    if (std::ranges::find(silent, before.pool, &SilentPool::pool) == silent.end())
      spdlog::info("{} reports data again", config_.policy.pools[before.pool.value].name);
  }
  silent_ = std::move(silent);
}

void MemoryWatch::take(const DeviceSurvey& survey) {
  const Tick now(std::chrono::duration_cast<Duration>(LoopClock::now().time_since_epoch()));
  DeviceTruth truth = account_.judge(survey, own_trees(), core_.charges(), now);
  note_silence(std::move(truth.silent));
  on_devices_ = std::move(truth.servers);
  in_host_ = std::move(truth.in_host);
  for (const auto& [generation, bytes] : on_devices_) {
    if (const auto known = told_.find(generation); known != told_.end())
      tell({generation, known->second.host_anon, bytes});
  }
  for (const PoolLost& lost : truth.lost)
    core_.post(lost);
  for (const PoolSampled& pool : truth.pools)
    core_.post(pool);
  judge_pace(truth.pools);
  if (!releasing_)
    return;
  releasing_ = core_.awaits_release();
  if (releasing_)
    look_for_release();
}

}  // namespace tonnage
