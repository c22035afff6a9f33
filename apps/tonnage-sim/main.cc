// tonnage-sim: runs the core against simulated machines, one per seed, and says what broke.
#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "sim/exhaust.h"
#include "sim/fairness.h"
#include "sim/run.h"
#include "sim/scenario.h"
#include "sim/shrink.h"

namespace {

using namespace tonnage::sim;

struct Options {
  std::string seeds = "1..200";
  std::optional<std::uint64_t> seed;
  std::string scenario;
  bool trace = false;
  bool verbose = false;
  bool shrink = false;
  bool no_shrink = false;
  bool fail_fast = false;
  std::string shrink_dir = "tests/scenarios";
  std::uint64_t require_coverage = 0;
  int exhaust = 0;
  bool fairness = false;
  bool json = false;
  std::uint64_t runs = 20;
  unsigned jobs = std::max(1U, std::thread::hardware_concurrency());
};

struct Range {
  std::uint64_t first = 1;
  std::uint64_t last = 0;
};

// "1..2000", or "2000" for the first so many.
std::optional<Range> parse_range(const std::string& text) {
  Range range;
  const char* begin = text.data();
  const char* end = begin + text.size();
  const auto number = std::from_chars(begin, end, range.last);
  if (number.ec != std::errc{} || number.ptr == begin)
    return std::nullopt;
  if (number.ptr == end)
    return range.last > 0 ? std::optional(range) : std::nullopt;
  if (!std::string_view(number.ptr, end).starts_with(".."))
    return std::nullopt;
  range.first = range.last;
  const auto last = std::from_chars(number.ptr + 2, end, range.last);
  if (last.ec != std::errc{} || last.ptr != end || range.last < range.first)
    return std::nullopt;
  return range;
}

void print_failure(const RunReport& report) {
  std::cout << "seed " << report.seed << " failed\n" << describe(draw_knobs(report.seed)) << "\n";
  std::cout << "the last of what happened:\n";
  for (const std::string& line : report.last_lines)
    std::cout << "  " << line << "\n";
  for (const std::string& finding : report.findings)
    std::cout << "broken: " << finding << "\n";
  std::cout << "repeat it: build/release/tonnage-sim --seed " << report.seed << " --trace\n\n";
}

// Writes the shortest list of events that still fails as the seed did: a golden scenario, which
// fails until the core is mended, and says then what it does.
void shrink_failure(const RunReport& report, const std::string& folder) {
  std::cout << "shrinking seed " << report.seed << ": " << report.findings.front() << "\n";
  const auto script =
      shrink(script_of(draw_knobs(report.seed), report.events, report.findings.front()));
  if (!script) {
    std::cout << "told again it does not fail: what broke is not in the list of events alone\n\n";
    return;
  }
  const std::string text = write_scenario(*script, report.seed);
  std::cout << text << "\n";
  if (!std::filesystem::is_directory(folder)) {
    std::cout << "not written: there is no folder " << folder << "\n\n";
    return;
  }
  const auto path =
      std::filesystem::path(folder) / ("seed-" + std::to_string(report.seed) + ".txt");
  std::ofstream(path) << text;
  std::cout << "written: " << path.string() << "\n\n";
}

// The sum over all seeds. Filled in the order of the seeds, whatever order they ran in.
struct Sum {
  std::uint64_t events = 0;
  std::uint64_t steps = 0;
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
  std::uint64_t digest = 0;
  Coverage coverage;
  std::optional<RunReport> first_failure;

  void add(const RunReport& report) {
    constexpr std::uint64_t kFailuresShown = 5;
    events += report.events;
    steps += report.steps;
    digest = (digest ^ report.digest) * 0x9fb21c651e98df25ULL;
    coverage.add(report.coverage);
    if (!report.findings.empty() && !first_failure)
      first_failure = report;
    if (report.findings.empty()) {
      ++passed;
    } else if (++failed <= kFailuresShown) {
      print_failure(report);
    } else {
      std::cout << "seed " << report.seed << " failed: " << report.findings.front() << "\n";
    }
  }
};

Sum run_range(const Range& range, unsigned jobs, bool fail_fast) {
  // A batch at a time, so that memory stays small and failures come early.
  constexpr std::uint64_t kBatch = 512;
  Sum sum;
  for (std::uint64_t first = range.first; first <= range.last; first += kBatch) {
    const std::uint64_t count = std::min(kBatch, range.last - first + 1);
    if (fail_fast && sum.failed > 0)
      break;
    std::vector<RunReport> reports(count);
    std::atomic<std::uint64_t> next{0};
    auto work = [&] {
      for (std::uint64_t i = next++; i < count; i = next++)
        reports[i] = run_seed(first + i);
    };
    std::vector<std::jthread> workers;
    for (unsigned i = 1; i < jobs; ++i)
      workers.emplace_back(work);
    work();
    workers.clear();
    for (const RunReport& report : reports)
      sum.add(report);
  }
  return sum;
}

int run_one(const Options& options) {
  const std::uint64_t seed = *options.seed;
  if (options.trace || options.verbose)
    std::cout << describe(draw_knobs(seed)) << "\n";
  const RunReport report =
      options.trace ? run_seed(seed, [](const std::string& line) { std::cout << line << "\n"; })
                    : run_seed(seed);
  if (options.verbose)
    std::cout << report.coverage.table();
  std::cout << report.events << " events, digest " << std::hex << report.digest << std::dec << "\n";
  if (report.findings.empty()) {
    std::cout << "1 passed, 0 failed\n";
    return 0;
  }
  print_failure(report);
  if (options.shrink)
    shrink_failure(report, options.shrink_dir);
  std::cout << "0 passed, 1 failed\n";
  return 1;
}

// Plays a golden scenario with what the core does now, for writing one.
int play(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    std::cerr << "tonnage-sim: cannot read " << path << "\n";
    return 2;
  }
  std::ostringstream text;
  text << file.rdbuf();
  const auto played = play_scenario(text.str());
  if (!played) {
    std::cerr << "tonnage-sim: " << path << ": " << played.error().text() << "\n";
    return 2;
  }
  std::cout << *played;
  return played->find("BROKEN") == std::string::npos ? 0 : 1;
}

int run_exhaustively(int depth) {
  const Exhausted result = exhaust(depth);
  std::cout << result.orders << " orders of " << depth << " events, " << result.steps << " steps\n";
  if (result.finding.empty()) {
    std::cout << "1 passed, 0 failed\n";
    return 0;
  }
  std::cout << "broken: " << result.finding << "\n" << result.scenario << "0 passed, 1 failed\n";
  return 1;
}

// A line per workload and policy, or everything as JSON.
int run_fairness(const Options& options) {
  if (options.json) {
    std::cout << fairness_json(options.runs);
    return 0;
  }
  const auto seconds = [](tonnage::Duration wait) {
    const auto tenths = wait.count() / 100'000;
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10);
  };
  std::cout << "workload   policy  wait p50, p95, p99 in s        switches/h  worst model\n";
  for (std::size_t i = 0; i < kPatterns * kDisciplines; ++i) {
    const auto pattern = static_cast<Pattern>(i / kDisciplines);
    const auto discipline = static_cast<Discipline>(i % kDisciplines);
    const Fairness fairness = measure_fairness(pattern, discipline, options.runs);
    std::cout << std::left << std::setw(11) << to_text(pattern) << std::setw(8)
              << to_text(discipline) << std::right;
    for (const std::int64_t permille : {500, 950, 990})
      std::cout << std::setw(9) << seconds(fairness.all.permille(permille));
    const std::int64_t worst = fairness.worst_model_permille();
    std::cout << std::setw(14) << fairness.switches_per_hour() << std::setw(10) << worst / 1000
              << "." << worst / 100 % 10 << "\n";
  }
  return 0;
}

void print_figures(const Sum& sum, std::uint64_t ms, unsigned jobs) {
  const std::uint64_t seeds = sum.passed + sum.failed;
  std::cout << sum.coverage.table();
  std::cout << seeds << " seeds, " << sum.events << " events (" << sum.events / seeds
            << " a seed), each seed run twice\n";
  std::cout << sum.steps << " steps in " << ms << " ms on " << jobs
            << " threads: " << sum.steps * 1000 / ms << " a second, "
            << sum.steps * 1000 / ms / jobs << " a second and thread\n";
  std::cout << "digest " << std::hex << sum.digest << std::dec << "\n";
}

// Whether everything was hit often enough; prints what was not.
bool is_covered(const Sum& sum, std::uint64_t least) {
  const std::vector<std::string> below = sum.coverage.below(least);
  if (!below.empty())
    std::cout << "hit too rarely:\n";
  for (const std::string& line : below)
    std::cout << "  " << line << "\n";
  return below.empty();
}

int run_seeds(const Options& options) {
  const auto range = parse_range(options.seeds);
  if (!range) {
    std::cerr << "tonnage-sim: --seeds wants A..B with A <= B, or N; not '" << options.seeds
              << "'\n";
    return 2;
  }
  const auto begin = std::chrono::steady_clock::now();
  const Sum sum = run_range(*range, options.jobs, options.fail_fast);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - begin);
  print_figures(sum, std::max<std::uint64_t>(1, static_cast<std::uint64_t>(took.count())),
                options.jobs);
  if (sum.first_failure && !options.no_shrink)
    shrink_failure(*sum.first_failure, options.shrink_dir);
  const bool covered = is_covered(sum, options.require_coverage);
  std::cout << sum.passed << " passed, " << sum.failed << " failed\n";
  return sum.failed == 0 && covered ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Runs the governor against simulated machines and checks what it does."};
  app.add_option("--seeds", options.seeds, "A..B, or N for the first N");
  app.add_option("--seed", options.seed, "one seed only");
  app.add_option("--scenario", options.scenario, "play a file of tests/scenarios and print it");
  app.add_flag("--trace", options.trace, "with --seed: print every event and action");
  app.add_flag("--verbose", options.verbose, "with --seed: print the table of what was covered");
  app.add_flag("--shrink", options.shrink, "with --seed: shrink it when it fails");
  app.add_flag("--no-shrink", options.no_shrink, "do not shrink the first seed that fails");
  app.add_option("--shrink-dir", options.shrink_dir, "where what was shrunk is written");
  app.add_flag("--fail-fast", options.fail_fast, "stop soon after the first seed that fails");
  app.add_option("--require-coverage", options.require_coverage,
                 "fail when an event, action, decision, reason, edge or fault was hit less often");
  app.add_option("--exhaust", options.exhaust, "every order of so many events on two models")
      ->check(CLI::Range(1, 12));
  app.add_flag("--fairness", options.fairness, "who waits how long under fifo, lru and value");
  app.add_option("--runs", options.runs, "with --fairness: runs of each workload")
      ->check(CLI::Range(1, 10'000));
  app.add_flag("--json", options.json, "with --fairness: all figures, as JSON");
  app.add_option("--jobs", options.jobs, "threads; as many as there are processors by default")
      ->check(CLI::Range(1, 256));
  CLI11_PARSE(app, argc, argv);

  if (!options.scenario.empty())
    return play(options.scenario);
  if (options.fairness)
    return run_fairness(options);
  if (options.exhaust > 0)
    return run_exhaustively(options.exhaust);
  return options.seed ? run_one(options) : run_seeds(options);
}
