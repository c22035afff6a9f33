#include "daemon/spin_keeper.h"

#include <sys/utsname.h>

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <utility>

#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/whole_file.h"

namespace tonnage {
namespace {

namespace fs = std::filesystem;

constexpr Duration kMeasureMax = 500ms;
constexpr std::size_t kTries = 5;  // that measured something; the middle one counts
constexpr Duration kPauseMax = 5min;
constexpr std::uintmax_t kSpinFileBytesMax = 1U << 16U;

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("model name"))
      continue;
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos)
      return line.substr(colon + 2);
  }
  return "a processor without a name";
}

std::int64_t number_of(const nlohmann::json& json, const char* key) {
  return json.contains(key) && json[key].is_number_integer() ? json[key].get<std::int64_t>() : 0;
}

}  // namespace

fs::path spin_file(const fs::path& state_dir) {
  return state_dir / "spin.json";
}

std::optional<SpinRecord> read_spin_record(const fs::path& file) {
  std::error_code error;
  if (fs::file_size(file, error) > kSpinFileBytesMax || error)
    return std::nullopt;
  std::ifstream stream(file, std::ios::binary);
  const nlohmann::json json = nlohmann::json::parse(stream, nullptr, false);
  if (!json.is_object() || !json.contains("machine") || !json["machine"].is_string())
    return std::nullopt;
  SpinRecord record{.machine = json["machine"].get<std::string>(),
                    .costs = {.look_ps = number_of(json, "look_ps"),
                              .sleep_ns = number_of(json, "sleep_ns"),
                              .wake_ns = number_of(json, "wake_ns")}};
  if (record.costs.look_ps <= 0 || record.costs.sleep_ns <= 0)
    return std::nullopt;
  return record;
}

bool write_spin_record(const fs::path& file, const SpinRecord& record) {
  const std::string text = nlohmann::json{
      {"machine", record.machine},
      {"look_ps", record.costs.look_ps},
      {"sleep_ns", record.costs.sleep_ns},
      {"wake_ns",
       record.costs.wake_ns}}.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
  return write_whole_file(file, text + "\n").has_value();
}

std::string describe_machine(std::size_t cores) {
  utsname system{};
  ::uname(&system);
  return fmt::format("{}, {} cores, {} {}", processor_name(), cores, system.sysname,
                     system.release);
}

std::string spin_text(const SpinCosts& costs, std::int32_t threads) {
  const std::int32_t count = spin_count(costs, threads);
  const double spun_us = static_cast<double>(count) * static_cast<double>(costs.look_ps) / 1e6;
  return fmt::format("{} turns ({:.1f} us): one turn takes {:.1f} ns, sleeping {:.1f} us", count,
                     spun_us, static_cast<double>(costs.look_ps) / 1e3,
                     static_cast<double>(costs.sleep_ns) / 1e3);
}

SpinKeeper::SpinKeeper(boost::asio::io_context& io, fs::path file, Found found, SpinMachine machine)
    : io_(io), file_(std::move(file)), found_(std::move(found)), machine_(std::move(machine)) {}

void SpinKeeper::start() {
  worker_ = std::jthread([this](const std::stop_token& stop) {
    const auto cores = machine_.cores();
    if (cores.size() < 2)
      return;
    SpinRecord record{.machine = describe_machine(cores.size()), .costs = {}};
    const auto kept = read_spin_record(file_);
    if (kept && kept->machine == record.machine)
      return tell(kept->costs, cores.size());
    const auto measured = measure(cores, stop);
    if (!measured)
      return;
    record.costs = *measured;
    write_spin_record(file_, record);  // if not, the next start measures again
    tell(record.costs, cores.size());
  });
}

// A machine that others keep busy is asked again, ever more rarely.
std::optional<SpinCosts> SpinKeeper::measure(const std::vector<int>& cores,
                                             const std::stop_token& stop) const {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::vector<SpinCosts> tries;
  Duration pause = machine_.between_tries;
  while (tries.size() < kTries) {
    if (stop.stop_requested())
      return std::nullopt;
    const auto measured = machine_.measure(cores[0], cores[1], kMeasureMax, stop);
    if (measured)
      tries.push_back(*measured);
    else
      pause = std::min(pause * 2, kPauseMax);
    std::unique_lock lock(mutex);
    stopped.wait_for(lock, stop, pause, [] { return false; });
  }
  std::ranges::sort(tries, {}, &SpinCosts::sleep_ns);
  return tries[kTries / 2];
}

void SpinKeeper::tell(const SpinCosts& costs, std::size_t threads) {
  boost::asio::post(io_,
                    [this, costs, threads] { found_(costs, static_cast<std::int32_t>(threads)); });
}

}  // namespace tonnage
