#include "probe/process_probe.h"

#include <dirent.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "probe/proc_file.h"

namespace tonnage {
namespace {

std::optional<std::int32_t> parse_pid(std::string_view text) {
  const auto count = parse_count(text);
  if (!count || *count <= 0 || *count > std::numeric_limits<std::int32_t>::max()) {
    return std::nullopt;
  }
  return static_cast<std::int32_t>(*count);
}

// The folder's entries that are numbers, in ascending order.
std::vector<std::int32_t> numbered_entries(const std::string& folder) {
  const auto close = [](DIR* dir) { ::closedir(dir); };
  const std::unique_ptr<DIR, decltype(close)> dir(::opendir(folder.c_str()), close);
  std::vector<std::int32_t> numbers;
  if (dir == nullptr)
    return numbers;
  while (const dirent* entry = ::readdir(dir.get())) {
    if (const auto pid = parse_pid(entry->d_name))
      numbers.push_back(*pid);
  }
  std::ranges::sort(numbers);
  return numbers;
}

// Field 4 of /proc/PID/stat, after the name in brackets, which may itself hold brackets.
std::optional<std::int32_t> parent_of(std::string_view stat) {
  const std::size_t end = stat.rfind(')');
  if (end == std::string_view::npos)
    return std::nullopt;
  stat.remove_prefix(end + 1);
  next_word(stat);  // state
  return parse_pid(next_word(stat));
}

// The children of every process, from their parent numbers: one pass over /proc.
std::vector<std::pair<std::int32_t, std::int32_t>> parents_and_children(const std::string& proc) {
  std::vector<std::pair<std::int32_t, std::int32_t>> pairs;
  for (const std::int32_t pid : numbered_entries(proc)) {
    const auto stat = read_proc_file(proc + "/" + std::to_string(pid) + "/stat");
    if (!stat)
      continue;
    if (const auto parent = parent_of(*stat))
      pairs.emplace_back(*parent, pid);
  }
  return pairs;
}

Bytes saturating_add(Bytes a, Bytes b) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(a.count, b.count, &sum)) {
    return Bytes(std::numeric_limits<std::int64_t>::max());
  }
  return Bytes(sum);
}

struct MappingHeader {
  std::string_view range, offset, device, inode, path;
  bool writable = false;
};

// "7f00-7f10 r--p 00000000 fd:01 1234    /models/a b.gguf"; empty for any other line.
std::optional<MappingHeader> parse_mapping_header(std::string_view line) {
  MappingHeader header;
  header.range = next_word(line);
  const std::string_view permissions = next_word(line);
  header.offset = next_word(line);
  header.device = next_word(line);
  header.inode = next_word(line);
  if (permissions.size() != 4 || header.range.find('-') == std::string_view::npos ||
      header.device.find(':') == std::string_view::npos) {
    return std::nullopt;
  }
  const std::size_t begin = line.find_first_not_of(' ');
  if (begin != std::string_view::npos)
    header.path = line.substr(begin);
  header.writable = permissions[1] == 'w';
  return header;
}

Bytes range_size(std::string_view range) {
  const std::size_t dash = range.find('-');
  std::uint64_t begin = 0, end = 0;
  const char* text = range.data();
  const auto first = std::from_chars(text, text + dash, begin, 16);
  const auto second = std::from_chars(text + dash + 1, text + range.size(), end, 16);
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (first.ec != std::errc{} || second.ec != std::errc{} || end < begin || end - begin > kMost) {
    return 0_B;
  }
  return Bytes(static_cast<std::int64_t>(end - begin));
}

// The kernel writes a newline in a file's name as \012, and nothing else escaped.
std::string unescape_newlines(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t at = text.find("\\012");
    out += text.substr(0, at);
    if (at == std::string_view::npos)
      break;
    out += '\n';
    text.remove_prefix(at + 4);
  }
  return out;
}

}  // namespace

ProcessMemory& ProcessMemory::operator+=(const ProcessMemory& other) {
  anon = saturating_add(anon, other.anon);
  file = saturating_add(file, other.file);
  shmem = saturating_add(shmem, other.shmem);
  locked = saturating_add(locked, other.locked);
  peak = saturating_add(peak, other.peak);
  return *this;
}

Result<ProcessMemory> parse_process_status(std::string_view text) {
  ProcessMemory memory;
  bool has_state = false;
  struct Row {
    std::string_view name;
    Bytes* value;
  };
  const Row rows[] = {{"RssAnon", &memory.anon},
                      {"RssFile", &memory.file},
                      {"RssShmem", &memory.shmem},
                      {"VmLck", &memory.locked},
                      {"VmHWM", &memory.peak}};
  std::string_view line;
  while (next_line(text, line)) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos)
      continue;
    const std::string_view name = line.substr(0, colon);
    std::string_view value = line.substr(colon + 1);
    if (name == "State") {
      const std::string_view word = next_word(value);
      if (!word.empty()) {
        memory.state = word.front();
        has_state = true;
      }
      continue;
    }
    for (const Row& row : rows) {
      if (name != row.name)
        continue;
      const auto bytes = parse_kib(value);
      if (!bytes) {
        return fail("cannot read process status", std::string(name),
                    "'" + std::string(value.substr(0, 40)) + "' is not an amount in kB");
      }
      *row.value = *bytes;
    }
  }
  if (!has_state)
    return fail("cannot read process status", {}, "it has no State line");
  return memory;
}

std::vector<MappedFile> parse_mappings(std::string_view text) {
  std::vector<MappedFile> files;
  MappedFile* current = nullptr;
  std::string_view line;
  while (next_line(text, line)) {
    if (const auto header = parse_mapping_header(line)) {
      current = nullptr;
      const auto inode = parse_count(header->inode);
      if (!inode || *inode <= 0 || !header->path.starts_with('/'))
        continue;
      std::string_view path = header->path;
      constexpr std::string_view kDeleted = " (deleted)";
      const bool deleted = path.ends_with(kDeleted);
      if (deleted)
        path.remove_suffix(kDeleted.size());
      const auto known = std::ranges::find_if(files, [&](const MappedFile& file) {
        return file.inode == static_cast<std::uint64_t>(*inode) && file.device == header->device;
      });
      if (known == files.end()) {
        files.push_back({unescape_newlines(path),
                         std::string(header->device),
                         static_cast<std::uint64_t>(*inode),
                         deleted,
                         false,
                         {},
                         {},
                         {}});
        current = &files.back();
      } else {
        current = &*known;
      }
      current->writable = current->writable || header->writable;
      current->mapped = saturating_add(current->mapped, range_size(header->range));
    } else if (current != nullptr) {
      const std::size_t colon = line.find(':');
      const std::string_view name = line.substr(0, colon);
      if (name != "Rss" && name != "Locked")
        continue;
      const Bytes bytes = parse_kib(line.substr(colon + 1)).value_or(0_B);
      Bytes& sum = name == "Rss" ? current->resident : current->locked;
      sum = saturating_add(sum, bytes);
    }
  }
  return files;
}

// "36 35 0:32 / /dev/shm rw,nosuid shared:4 - tmpfs tmpfs rw,size=65536k"; mapped files have the
// numbers of the device in hexadecimal.
std::vector<std::string> parse_memory_devices(std::string_view text) {
  constexpr auto kTypes = std::to_array<std::string_view>({"tmpfs", "ramfs", "devtmpfs"});
  std::vector<std::string> devices;
  std::string_view line;
  while (next_line(text, line)) {
    next_word(line);
    next_word(line);
    const std::string_view device = next_word(line);
    const std::size_t colon = device.find(':');
    std::string_view word = next_word(line);
    while (!word.empty() && word != "-")
      word = next_word(line);
    if (colon == std::string_view::npos ||
        std::ranges::find(kTypes, next_word(line)) == kTypes.end())
      continue;
    const auto major = parse_count(device.substr(0, colon));
    const auto minor = parse_count(device.substr(colon + 1));
    if (!major || !minor)
      continue;
    std::array<char, 48> shown{};
    std::snprintf(shown.data(), shown.size(), "%02llx:%02llx",
                  static_cast<unsigned long long>(*major), static_cast<unsigned long long>(*minor));
    devices.emplace_back(shown.data());
  }
  return devices;
}

std::vector<std::int32_t> parse_children(std::string_view text) {
  std::vector<std::int32_t> children;
  while (!text.empty()) {
    std::string_view word = next_word(text);
    if (word.empty())
      break;
    if (const auto pid = parse_pid(word))
      children.push_back(*pid);
  }
  return children;
}

ProcessProbe::ProcessProbe(std::string root) : proc_(under_root(root, "/proc")) {}

Result<ProcessMemory> ProcessProbe::process(std::int32_t pid) const {
  const std::string path = proc_ + "/" + std::to_string(pid) + "/status";
  const auto text = read_proc_file(path);
  if (!text)
    return std::unexpected(text.error());
  auto memory = parse_process_status(*text);
  if (!memory)
    return fail(memory.error().what, path, memory.error().text());
  return memory;
}

std::vector<std::int32_t> ProcessProbe::tree_pids(std::int32_t pid) const {
  std::vector<std::int32_t> pids{pid};
  std::optional<std::vector<std::pair<std::int32_t, std::int32_t>>> fallback;
  for (std::size_t at = 0; at < pids.size() && pids.size() < kTreeMax; ++at) {
    const std::string tasks = proc_ + "/" + std::to_string(pids[at]) + "/task";
    std::vector<std::int32_t> children;
    bool listed = false;
    // A child belongs to the thread that made it.
    for (const std::int32_t thread : numbered_entries(tasks)) {
      const auto text = read_proc_file(tasks + "/" + std::to_string(thread) + "/children");
      if (!text)
        continue;
      listed = true;
      const auto more = parse_children(*text);
      children.insert(children.end(), more.begin(), more.end());
    }
    if (!listed) {
      if (!fallback)
        fallback = parents_and_children(proc_);
      for (const auto& [parent, child] : *fallback) {
        if (parent == pids[at])
          children.push_back(child);
      }
    }
    for (const std::int32_t child : children) {
      // Numbers are reused: a list read late could name an ancestor.
      if (pids.size() < kTreeMax && std::ranges::find(pids, child) == pids.end()) {
        pids.push_back(child);
      }
    }
  }
  return pids;
}

Result<ProcessMemory> ProcessProbe::tree(std::int32_t pid) const {
  auto sum = process(pid);
  if (!sum)
    return sum;
  for (const std::int32_t member : tree_pids(pid)) {
    if (member == pid)
      continue;
    if (const auto memory = process(member))
      *sum += *memory;
  }
  return sum;
}

Result<std::vector<MappedFile>> ProcessProbe::mapped_files(std::int32_t pid, Bytes size_min) const {
  const std::string folder = proc_ + "/" + std::to_string(pid);
  auto text = read_proc_file(folder + "/smaps", kSmapsBytesMax);
  if (!text)
    text = read_proc_file(folder + "/maps", kSmapsBytesMax);
  if (!text)
    return std::unexpected(text.error());
  std::vector<MappedFile> files = parse_mappings(*text);
  std::erase_if(files, [&](const MappedFile& file) { return file.mapped < size_min; });
  return files;
}

Bytes ProcessProbe::read_only_shmem(std::int32_t pid) const {
  const auto mounts = read_proc_file(proc_ + "/" + std::to_string(pid) + "/mountinfo");
  if (!mounts)
    return 0_B;
  const std::vector<std::string> devices = parse_memory_devices(*mounts);
  Bytes sum;
  for (const std::int32_t member : tree_pids(pid)) {
    const auto files = mapped_files(member);
    if (!files)
      continue;
    for (const MappedFile& file : *files) {
      if (!file.writable && std::ranges::find(devices, file.device) != devices.end())
        sum = saturating_add(sum, file.resident);
    }
  }
  return sum;
}

}  // namespace tonnage
