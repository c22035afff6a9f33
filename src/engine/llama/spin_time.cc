#include "engine/llama/spin_time.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace tonnage {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::int64_t kSpunPermille = 800;  // of what sleeping costs; times ns, it makes ps
constexpr int kRounds = 100;
constexpr int kMeetings = 20;           // of one round
constexpr std::size_t kRoundsMin = 25;  // fewer show that the processors belong to others
constexpr int kLookRounds = 20;
constexpr int kLooks = 2'000;
constexpr std::size_t kQuartile = 4;

std::int64_t ns_since(SteadyClock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(SteadyClock::now() - begin).count();
}

bool bind_to(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  return ::sched_setaffinity(0, sizeof(set), &set) == 0;
}

// As libgomp's cpu_relax().
void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  asm volatile("rep; nop" ::: "memory");
#else
  asm volatile("" ::: "memory");
#endif
}

// Keeps processors from going idle, at the lowest priority: everybody else runs before it. Waking
// from idleness takes between nothing and 25 us on a virtual machine, by what its host does; the
// rest is the same at every moment.
class Company {
 public:
  Company(int one, int other) {
    for (const int processor : {one, other}) {
      // Detached: on a busy machine it may take seconds until such a thread has its turn to end.
      std::thread([over = over_, processor] {
        const sched_param none{};
        if (!bind_to(processor) || ::sched_setscheduler(0, SCHED_IDLE, &none) != 0)
          return;
        while (!over->load(std::memory_order_relaxed))
          pause_briefly();
      }).detach();
    }
  }
  ~Company() { over_->store(true); }
  Company(const Company&) = delete;
  Company& operator=(const Company&) = delete;

 private:
  std::shared_ptr<std::atomic<bool>> over_ = std::make_shared<std::atomic<bool>>(false);
};

// libgomp's barrier in small: who comes first spins, then sleeps; who comes last wakes.
class Meeting {
 public:
  Meeting() { wakes_ns_.reserve(kRounds * kMeetings + 2); }

  void arrive(std::int64_t looks) {
    const int round = round_.load();
    if (waiting_.fetch_add(1) == 1) {
      waiting_.store(0);
      const auto begin = SteadyClock::now();
      round_.store(round + 1);
      ::syscall(SYS_futex, address(), FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
      wakes_ns_.push_back(ns_since(begin));
      return;
    }
    for (std::int64_t i = 0; i < looks; ++i) {
      if (round_.load(std::memory_order_relaxed) != round)
        return;
      pause_briefly();
    }
    while (round_.load() == round)
      ::syscall(SYS_futex, address(), FUTEX_WAIT_PRIVATE, round, nullptr, nullptr, 0);
  }

  // Each wake was made by one thread before it came to the next meeting; to be read when both left.
  const std::vector<std::int64_t>& wakes_ns() const { return wakes_ns_; }

 private:
  int* address() { return reinterpret_cast<int*>(&round_); }

  static_assert(sizeof(std::atomic<int>) == sizeof(int));
  std::atomic<int> round_{0};
  std::atomic<int> waiting_{0};
  std::vector<std::int64_t> wakes_ns_;
};

struct MeetingCosts {
  std::int64_t meeting_ns = 0;
  std::int64_t wake_ns = 0;
};

std::int64_t lower_quartile(std::vector<std::int64_t> values) {
  std::ranges::sort(values);
  return values[values.size() / kQuartile];
}

std::optional<MeetingCosts> cost_of_meeting(int one, int other, std::int64_t looks,
                                            SteadyClock::time_point deadline,
                                            const std::stop_token& stop) {
  Meeting meeting;
  // Which meeting is the last. Its number is said before it, so that whoever came through the one
  // before comes to it, and nobody waits for a partner that left.
  std::atomic<int> last{INT_MAX};
  std::atomic<bool> bound{true};
  std::vector<std::int64_t> meetings;
  const auto keep_company = [&] {
    if (!bind_to(other))
      bound.store(false);
    for (int i = 1; i <= last.load(); ++i)
      meeting.arrive(looks);
  };
  const auto measure = [&] {
    if (!bind_to(one))
      bound.store(false);
    meeting.arrive(looks);
    int made = 1;
    for (int round = 0; round < kRounds; ++round) {
      if (stop.stop_requested() || SteadyClock::now() > deadline)
        break;
      const auto begin = SteadyClock::now();
      for (int i = 0; i < kMeetings; ++i)
        meeting.arrive(looks);
      meetings.push_back(ns_since(begin) / kMeetings);
      made += kMeetings;
    }
    last.store(made + 1);
    meeting.arrive(looks);
  };
  {
    const std::jthread partner(keep_company);
    const std::jthread first(measure);  // a thread of its own: the binding ends with it
  }
  if (!bound.load() || stop.stop_requested() || meetings.size() < kRoundsMin)
    return std::nullopt;
  return MeetingCosts{lower_quartile(std::move(meetings)), lower_quartile(meeting.wakes_ns())};
}

std::int64_t look_ps() {
  std::vector<std::int64_t> rounds;
  std::atomic<int> never{0};
  for (int round = 0; round < kLookRounds; ++round) {
    const auto begin = SteadyClock::now();
    for (int i = 0; i < kLooks && never.load(std::memory_order_relaxed) == 0; ++i)
      pause_briefly();
    rounds.push_back(ns_since(begin) * 1'000 / kLooks);
  }
  return std::max<std::int64_t>(1, lower_quartile(std::move(rounds)));
}

// Whether the processor's core is another one than those of `before`: "0,4" or "0-1" are one core.
bool is_new_core(int processor, std::vector<std::string>& before) {
  std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(processor) +
                     "/topology/thread_siblings_list");
  std::string core;
  if (!std::getline(file, core))
    return true;
  if (std::ranges::find(before, core) != before.end())
    return false;
  before.push_back(std::move(core));
  return true;
}

}  // namespace

std::int32_t spin_count(const SpinCosts& costs, std::int32_t threads) {
  if (costs.look_ps <= 0 || costs.sleep_ns <= 0 || threads < 2)
    return kSpinCountUnmeasured;
  const std::int64_t sleep_ns = costs.sleep_ns + (threads - 2) * costs.wake_ns / 2;
  const std::int64_t count = sleep_ns * kSpunPermille / costs.look_ps;
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(count, kSpinCountMin, kSpinCountMax));
}

std::vector<int> usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (::sched_getaffinity(0, sizeof(set), &set) != 0)
    return cores;
  std::vector<std::string> seen;
  for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (CPU_ISSET(processor, &set) && is_new_core(processor, seen))
      cores.push_back(processor);
  }
  return cores;
}

std::optional<SpinCosts> measure_spin_costs(int one, int other, Duration longest,
                                            const std::stop_token& stop) {
  const Company company(one, other);
  const auto deadline = SteadyClock::now() + longest;
  constexpr std::int64_t kForEver = std::int64_t{1} << 40;
  const auto asleep = cost_of_meeting(one, other, 0, deadline, stop);
  if (!asleep)
    return std::nullopt;
  const auto awake = cost_of_meeting(one, other, kForEver, deadline + longest, stop);
  if (!awake)
    return std::nullopt;
  const std::int64_t sleep_ns = asleep->meeting_ns - awake->meeting_ns;
  // Otherwise what took so long was somebody else's turn on a processor.
  if (sleep_ns < awake->meeting_ns || sleep_ns > kSleepNsMax)
    return std::nullopt;
  return SpinCosts{look_ps(), sleep_ns, asleep->wake_ns};
}

}  // namespace tonnage
