// DryRunStore: what dry runs said, kept across starts, so that 200 models are not dry-run again
// each time, with a context on the card for each.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/types.h"
#include "footprint/dry_run.h"

namespace tonnage {

// A result belongs to everything that made it: the program and its libraries, its arguments and
// environment, and the content of the file that it looked at. Any other is another key.
std::string dry_run_key(FileId engine, FileId file, const std::vector<std::string>& arguments,
                        const std::vector<std::string>& environment);

// The programs and libraries of the engine's folder as they are now. Blocks on the disk.
FileId engine_identity(const std::filesystem::path& program);

class DryRunStore {
 public:
  // More than a machine's models have in all; the ones that were not used for longest go first.
  static constexpr std::size_t kResultsMax = 4096;
  static constexpr std::size_t kFileBytesMax = 4 << 20;

  // Forgets everything, then takes what `text` says. One wrong line makes all of it worthless.
  Result<void> parse(std::string_view text);
  std::string text() const;

  std::optional<DryRun> find(const std::string& key);
  void keep(const std::string& key, const DryRun& result);
  // Whether something was kept since this was asked last.
  bool take_changed();
  std::size_t size() const { return results_.size(); }

 private:
  struct Kept {
    DryRun result;
    std::uint64_t used = 0;  // counts uses, not time
  };

  std::map<std::string, Kept> results_;
  std::uint64_t uses_ = 0;
  bool changed_ = false;
};

// Both block on the disk. A file that is not there is an empty store.
Result<std::string> read_store(const std::filesystem::path& file);
Result<void> write_store(const std::filesystem::path& file, const std::string& text);

}  // namespace tonnage
