// SpinKeeper: finds out once per machine how long model servers spin, and keeps that in the state
// folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "base/tick.h"
#include "engine/llama/spin_time.h"

namespace tonnage {

// What was measured, and on which machine: another processor, kernel or number of cores measures
// anew.
struct SpinRecord {
  std::string machine;
  SpinCosts costs;
};

std::filesystem::path spin_file(const std::filesystem::path& state_dir);
std::optional<SpinRecord> read_spin_record(const std::filesystem::path& file);
// Whole or not at all; false when it cannot be written.
bool write_spin_record(const std::filesystem::path& file, const SpinRecord& record);

// "AMD EPYC, 2 cores, Linux 6.1.0"
std::string describe_machine(std::size_t cores);

// "450 turns (11.1 us): one turn takes 24.6 ns, sleeping 14.8 us"
std::string spin_text(const SpinCosts& costs, std::int32_t threads);

// What a SpinKeeper asks of the machine, on its own thread.
struct SpinMachine {
  std::function<std::vector<int>()> cores = usable_cores;
  std::function<std::optional<SpinCosts>(int one, int other, Duration longest,
                                         const std::stop_token& stop)>
      measure = measure_spin_costs;
  Duration between_tries = 500ms;
};

// Works on a thread of its own, so that neither the loop nor the first load waits for it: servers
// that start before it is done have kSpinCountUnmeasured. `found` is called once, on the loop: with
// what is kept, or with the middle one of several tries.
class SpinKeeper {
 public:
  using Found = std::function<void(const SpinCosts& costs, std::int32_t threads)>;

  SpinKeeper(boost::asio::io_context& io, std::filesystem::path file, Found found,
             SpinMachine machine = {});

  void start();

 private:
  std::optional<SpinCosts> measure(const std::vector<int>& cores,
                                   const std::stop_token& stop) const;
  void tell(const SpinCosts& costs, std::size_t threads);

  boost::asio::io_context& io_;
  std::filesystem::path file_;
  Found found_;
  SpinMachine machine_;
  std::jthread worker_;  // asked to stop and joined at the end
};

}  // namespace tonnage
