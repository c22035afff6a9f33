// RuntimeFolder: the folder that one daemon owns while it runs: its lock, sockets and records.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/file_handle.h"
#include "base/result.h"
#include "core/types.h"

namespace tonnage {

// A socket's path must stay below this: sockaddr_un holds 108 bytes, other systems 104.
inline constexpr std::size_t kSocketPathBytesMax = 103;

class RuntimeFolder {
 public:
  // Creates the folder (0700), locks it, ends the servers that an earlier daemon left (only where
  // pid, start time and boot id all match its record, or where its process is gone and one of its
  // group still names this folder in its command line), and removes stale sockets and records. May
  // block for up to 2 s while killed servers end. Errors: not a folder, not ours, not writable,
  // path too long for sockets, in use by another daemon (named by its pid).
  static Result<RuntimeFolder> open(const std::filesystem::path& path);

  RuntimeFolder(RuntimeFolder&&) noexcept = default;
  RuntimeFolder& operator=(RuntimeFolder&&) noexcept = default;
  ~RuntimeFolder();

  const std::filesystem::path& path() const { return path_; }
  // Servers that open() ended.
  const std::vector<pid_t>& cleaned() const { return cleaned_; }

  // "<model number>-<generation>.sock" in this folder. Fails when that would be too long.
  Result<std::filesystem::path> socket_path(ModelId model, Generation generation) const;

  // Makes sure that the folder is still there and still ours; a folder that was removed is made
  // again, with its lock and records. Called before each start.
  Result<void> ensure();

  // Remembers a running server, for a later daemon's clean-up.
  Result<void> record(Generation generation, pid_t pid);
  void forget(Generation generation);

 private:
  explicit RuntimeFolder(std::filesystem::path path) : path_(std::move(path)) {}
  Result<void> create();
  Result<void> lock();
  void clean_up();
  Result<void> write_record(Generation generation, const std::string& text) const;

  std::filesystem::path path_;
  FileHandle folder_;
  FileHandle lock_;
  std::map<Generation, std::string> records_;
  std::vector<pid_t> cleaned_;
};

}  // namespace tonnage
