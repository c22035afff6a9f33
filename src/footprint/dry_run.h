// DryRun: what `llama-fit-params` says that a placement needs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

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

// `output` is the program's standard output. Lines that are no rows are skipped; a row without
// sense, or no row for the host, is an error.
Result<DryRun> parse_dry_run(std::string_view output);

// The lines of a failed run's standard error that say why, in one line for people.
std::string dry_run_failure(std::string_view error_output);

}  // namespace tonnage
