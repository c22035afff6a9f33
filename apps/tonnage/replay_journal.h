// replay_journal: runs a recorded journal through the core again and compares what it wants done.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace tonnage {

// Where the core did something else than was recorded.
struct Difference {
  std::string file;
  std::uint64_t line = 0;
  std::uint64_t step = 0;
  std::string event;                  // as the journal writes it
  std::vector<std::string> recorded;  // actions, as the journal writes them
  std::vector<std::string> replayed;
  std::string text;  // in a sentence
};

struct ReplayReport {
  std::uint64_t segments = 0;
  std::uint64_t steps = 0;
  std::uint64_t actions = 0;
  std::vector<std::string> notes;        // cut lines, gaps, other runs: things to know, not errors
  std::optional<Difference> difference;  // the first
};

// Replays the files in their order. A segment starts from the state that it begins with; where the
// one before it belongs to the same run and ends where it begins, the replayed state must be that
// state. Errors: a file that cannot be read, a line that is not understood.
Result<ReplayReport> replay_journal(const std::vector<std::filesystem::path>& files);

// The segments of a folder, or the file itself.
std::vector<std::filesystem::path> journal_files(const std::filesystem::path& file_or_folder);

}  // namespace tonnage
