// ProcessProbe: what a model server's process tree holds in host memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace tonnage {

// From /proc/PID/status (13 us). A zombie holds nothing.
struct ProcessMemory {
  char state = '?';  // R, S, D, T (stopped), t, Z, X
  Bytes anon;        // RssAnon
  Bytes file;        // RssFile: mapped weights are here
  Bytes shmem;       // RssShmem
  Bytes locked;      // VmLck
  Bytes peak;        // VmHWM

  // For ServerSampled: what only this server holds. Mapped weights are charged by the ledger, at
  // full size, locked or not, so they are not in it.
  Bytes held() const { return anon + shmem; }
  // For HostProbe::sample: what the kernel cannot take back. VmLck does not say what it locks;
  // the file part of it is at most RssFile, and locked anonymous memory is in `anon` already.
  Bytes unreclaimable() const { return anon + shmem + (locked < file ? locked : file); }

  ProcessMemory& operator+=(const ProcessMemory& other);  // sums; keeps the state of the left
  friend bool operator==(const ProcessMemory&, const ProcessMemory&) = default;
};

// One file that a process maps, over all its mappings of it.
struct MappedFile {
  std::string path;    // as the kernel prints it, unescaped
  std::string device;  // "fd:01", major and minor in hexadecimal
  std::uint64_t inode = 0;
  bool deleted = false;   // unlinked or replaced since it was mapped
  bool writable = false;  // by one of the mappings
  Bytes mapped;
  Bytes resident;  // zero where only `maps` was readable
  Bytes locked;

  friend bool operator==(const MappedFile&, const MappedFile&) = default;
};

// Fails when the text has no State line. Missing memory lines count as zero: kernel threads and
// zombies have none.
Result<ProcessMemory> parse_process_status(std::string_view text);
// Text of smaps or of maps. Files in order of first mapping.
std::vector<MappedFile> parse_mappings(std::string_view text);
// Text of mountinfo: devices, as in MappedFile, of file systems whose files are memory (tmpfs).
std::vector<std::string> parse_memory_devices(std::string_view text);
// The numbers of task/TID/children.
std::vector<std::int32_t> parse_children(std::string_view text);

// Reads under `root` ("/" or a fixture tree). Stateless, so any thread may use it.
class ProcessProbe {
 public:
  // A tree with more processes is cut there.
  static constexpr std::size_t kTreeMax = 256;

  explicit ProcessProbe(std::string root = "/");

  // Fails when there is no such process.
  Result<ProcessMemory> process(std::int32_t pid) const;
  // The process and all its descendants. Those that end meanwhile count nothing.
  Result<ProcessMemory> tree(std::int32_t pid) const;
  // The process and its descendants, parents first. Uses task/TID/children; where the kernel does
  // not have it, the parent numbers in /proc/PID/stat of every process.
  std::vector<std::int32_t> tree_pids(std::int32_t pid) const;
  // Files of at least `size_min` mapped bytes. 15 ms for a 3 GiB server: once after ready.
  Result<std::vector<MappedFile>> mapped_files(std::int32_t pid, Bytes size_min = 1_MiB) const;
  // Of the tree's `shmem`, what is files on tmpfs that are only read: weights, which the ledger
  // charges as those of any other file. As slow as mapped_files().
  Bytes read_only_shmem(std::int32_t pid) const;

 private:
  std::string proc_;
};

}  // namespace tonnage
