// DryRun: what `llama-fit-params` says a placement needs, and the arguments to ask it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "footprint/server_settings.h"

namespace tonnage {

// The program prints whole MiB, rounded down: the truth of each number is up to this much more.
inline constexpr Bytes kDryRunRounding = 1_MiB;

// One device's part.
struct DryRunRow {
  std::string device;  // "CUDA0", "Vulkan1", "Host"
  Bytes weights;
  Bytes context;  // key and value cache, recurrent state
  Bytes compute;  // the scratch buffer of the largest graph

  friend bool operator==(const DryRunRow&, const DryRunRow&) = default;
};

struct DryRun {
  std::vector<DryRunRow> devices;  // in the engine's order, without the host
  DryRunRow host;

  friend bool operator==(const DryRun&, const DryRun&) = default;
};

// Arguments of the dry run, without the program's name. It reads the file's header only: on a file
// of 3.3 GB it took 10 ms and 15 MiB (wall clock and maximum resident set of /usr/bin/time), in
// every load mode. Set GGML_NO_BACKTRACE=1 in its environment: a model that does not load makes it
// abort, and it would start a debugger to print a back-trace first.
std::vector<std::string> dry_run_arguments(const std::string& model_path,
                                           const ServerSettings& settings);

// The placement's arguments that a dry run and a server share: context, slots, batches, cache
// types, devices.
std::vector<std::string> placement_arguments(const ServerSettings& settings);

// `output` is the program's standard output. Lines that are no rows are skipped; a row without
// sense, or no row for the host, is an error.
Result<DryRun> parse_dry_run(std::string_view output);

// The lines of a failed run's standard error that say why, in one line for people.
std::string dry_run_failure(std::string_view error_output);

}  // namespace tonnage
