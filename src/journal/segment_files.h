// SegmentFiles: a folder of journal segments: written, kept within a bound, listed.
#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "journal/recorder.h"

namespace tonnage::journal {

// The journal's folder under the folder of lasting state.
std::filesystem::path journal_folder(const std::filesystem::path& state_dir);

// "000007-20261121T104500Z-4711-000012.jsonl": run 7, its name, segment 12. The run's number and
// not its time orders them, because clocks are set back, and some begin anew with each boot.
struct SegmentName {
  std::uint64_t run_number = 0;  // 0 where the name has none
  std::string run;               // the name without the segment's number; its header says the same
  std::uint64_t segment = 0;

  friend auto operator<=>(const SegmentName&, const SegmentName&) = default;
};

// Of a file's name; one that nobody of ours wrote has no run number and its whole name as `run`.
SegmentName parse_segment_name(std::string_view file_name);

// "000007-" + `name`.
std::string name_of_run(std::uint64_t run_number, std::string_view name);

// Segments in `folder`, oldest first: by run, then by number. Empty where there is no folder.
std::vector<std::filesystem::path> segments_in(const std::filesystem::path& folder);

// One more than the newest run in `folder`.
std::uint64_t next_run_number(const std::filesystem::path& folder);

// Writes the segments of one run. Blocks on the disk: not for the loop. One thread at a time.
class SegmentFiles {
 public:
  // All segments of the folder together stay within `total_max`, those of earlier runs and one of
  // `segment_max` that is being written included.
  SegmentFiles(std::filesystem::path folder, std::string run, Bytes segment_max, Bytes total_max);
  ~SegmentFiles();
  SegmentFiles(const SegmentFiles&) = delete;
  SegmentFiles& operator=(const SegmentFiles&) = delete;

  // Lines are written whole or not at all. After an error nothing more is taken until a chunk
  // begins a segment. An error as well when somebody deleted the file that is being written.
  Result<void> write(const Chunk& chunk);

 private:
  Result<void> begin(std::uint64_t segment);
  void prune() const;
  void close();

  std::filesystem::path folder_;
  std::string run_;
  Bytes others_max_;  // beside the one that is being written
  std::filesystem::path file_;
  int fd_ = -1;
};

}  // namespace tonnage::journal
