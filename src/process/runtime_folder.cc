#include "process/runtime_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "process/marked.h"
#include "process/pidfd.h"
#include "process/stat.h"

namespace tonnage {
namespace {

constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0600;
constexpr const char* kLockName = "lock";
constexpr std::string_view kRecordSuffix = ".server";
constexpr std::string_view kSocketSuffix = ".sock";
// What open() wants to have room for: five digits of model number, ten of generation.
constexpr std::size_t kSocketNameBytes = std::string_view("/99999-9999999999.sock").size();
// A killed server leaves within milliseconds, its page tables of many gigabytes within a second.
constexpr std::chrono::milliseconds kKilledWaitMax{2000};
constexpr std::size_t kRecordBytesMax = 256;
constexpr const char* kFolderRemedy = "set runtime_dir, or XDG_RUNTIME_DIR";

std::string last_error() {
  return ::strerror(errno);
}

std::unexpected<Error> folder_error(std::string what, const std::filesystem::path& path,
                                    std::string why) {
  return fail(std::move(what), path.string(), std::move(why), kFolderRemedy);
}

std::string read_file_at(int folder, const char* name) {
  const FileHandle file(::openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file)
    return {};
  std::array<char, kRecordBytesMax> buffer{};
  const auto size = ::read(file.get(), buffer.data(), buffer.size());
  return size > 0 ? std::string(buffer.data(), static_cast<std::size_t>(size)) : std::string();
}

std::vector<std::string> names_in(int folder) {
  std::vector<std::string> names;
  // fdopendir takes the descriptor over; a duplicate would share its position, so open anew.
  const int fd = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return names;
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(fd), &::closedir);
  if (!listing) {
    ::close(fd);
    return names;
  }
  while (const dirent* entry = ::readdir(listing.get()))
    names.emplace_back(entry->d_name);
  std::ranges::sort(names);
  return names;
}

// "<pid> <start ticks> <boot id>\n"
std::optional<std::string> make_record(pid_t pid) {
  const auto stat = read_process_stat(pid);
  if (!stat)
    return std::nullopt;
  return std::to_string(pid) + " " + std::to_string(stat->start_ticks) + " " + boot_id() + "\n";
}

struct Record {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;
};

// Nothing for a record of another boot, or one that is damaged.
std::optional<Record> parse_record(std::string_view text) {
  Record record;
  const char* end = text.data() + text.size();
  const auto [pid_end, pid_error] = std::from_chars(text.data(), end, record.pid);
  if (pid_error != std::errc() || pid_end == end || *pid_end != ' ')
    return std::nullopt;
  const auto [ticks_end, ticks_error] = std::from_chars(pid_end + 1, end, record.start_ticks);
  if (ticks_error != std::errc() || ticks_end == end || *ticks_end != ' ')
    return std::nullopt;
  std::string_view boot(ticks_end + 1, static_cast<std::size_t>(end - ticks_end - 1));
  boot = boot.substr(0, boot.find('\n'));
  if (record.pid <= 1 || boot.empty() || boot != boot_id())
    return std::nullopt;
  return record;
}

// Kills the process that the record names, if it still is that process. The pidfd pins the process
// before the check, so that its number cannot pass to another one in between.
FileHandle kill_recorded(const Record& record) {
  FileHandle pidfd = open_pidfd(record.pid);
  if (!pidfd)
    return {};
  const auto stat = read_process_stat(record.pid);
  if (!stat || stat->start_ticks != record.start_ticks || stat->state == 'Z')
    return {};
  if (stat->group == record.pid)
    ::kill(-record.pid, SIGKILL);
  if (!signal_pidfd(pidfd, SIGKILL))
    return {};
  return pidfd;
}

bool names_folder(pid_t pid, const std::string& folder) {
  constexpr std::size_t kCommandBytesMax = std::size_t{64} * 1024;
  const std::string path = "/proc/" + std::to_string(pid) + "/cmdline";
  const FileHandle file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(kCommandBytesMax, '\0');
  const auto size = file ? ::read(file.get(), text.data(), text.size()) : 0;
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text.find(folder + "/") != std::string::npos;
}

// The program that a script started, and that outlived it: the kernel ended only the script with
// the daemon. It is in the script's group, and its command line names a socket of the folder.
std::vector<std::pair<pid_t, FileHandle>> kill_rest_of_group(const Record& record,
                                                             const std::string& folder) {
  std::vector<std::pair<pid_t, FileHandle>> killed;
  if (::kill(-record.pid, 0) != 0)
    return killed;
  const FileHandle proc(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (const std::string& name : names_in(proc.get())) {
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size() || pid == record.pid)
      continue;
    FileHandle pidfd = open_pidfd(pid);
    const auto stat = read_process_stat(pid);
    if (!pidfd || !stat || stat->group != record.pid || stat->start_ticks < record.start_ticks)
      continue;
    if (names_folder(pid, folder) && signal_pidfd(pidfd, SIGKILL))
      killed.emplace_back(pid, std::move(pidfd));
  }
  return killed;
}

}  // namespace

Result<RuntimeFolder> RuntimeFolder::open(const std::filesystem::path& path) {
  std::error_code error;
  RuntimeFolder folder(std::filesystem::absolute(path, error).lexically_normal());
  if (error)
    return folder_error("cannot use runtime folder", path, error.message());
  if (folder.path_.native().size() + kSocketNameBytes > kSocketPathBytesMax) {
    const auto room = kSocketPathBytesMax - kSocketNameBytes;
    return fail("cannot use runtime folder", folder.path_.string(),
                "its path has " + std::to_string(folder.path_.native().size()) +
                    " bytes, and a unix socket in it allows " + std::to_string(room),
                "set runtime_dir to a shorter path, for example /tmp/tonnage");
  }
  if (auto made = folder.create(); !made)
    return std::unexpected(made.error());
  if (auto locked = folder.lock(); !locked)
    return std::unexpected(locked.error());
  folder.clean_up();
  return folder;
}

RuntimeFolder::~RuntimeFolder() {
  // The lock file stays: to remove it would let two daemons lock two files of one name.
  if (!folder_)
    return;
  for (const auto& [generation, text] : records_) {
    const std::string name = std::to_string(generation.value) + std::string(kRecordSuffix);
    ::unlinkat(folder_.get(), name.c_str(), 0);
  }
}

Result<void> RuntimeFolder::create() {
  const auto parent = path_.parent_path();
  // The fallback lies in /tmp, where anyone could have made our parent before us.
  if (::mkdir(parent.c_str(), kFolderMode) != 0 && errno == ENOENT) {
    std::error_code error;
    std::filesystem::create_directories(parent, error);
    if (error)
      return folder_error("cannot create runtime folder", path_, error.message());
  }
  if (::mkdir(path_.c_str(), kFolderMode) != 0 && errno != EEXIST) {
    return folder_error("cannot create runtime folder", path_, last_error());
  }
  folder_.reset(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder_)
    return folder_error("cannot use runtime folder", path_, last_error());
  struct stat own{};
  struct stat above{};
  if (::fstat(folder_.get(), &own) != 0 || ::stat(parent.c_str(), &above) != 0) {
    return folder_error("cannot use runtime folder", path_, last_error());
  }
  if (own.st_uid != ::geteuid()) {
    return folder_error("cannot use runtime folder", path_,
                        "it belongs to user " + std::to_string(own.st_uid));
  }
  if (above.st_uid != ::geteuid() && above.st_uid != 0 && (above.st_mode & S_ISVTX) == 0) {
    return folder_error("cannot use runtime folder", path_,
                        "user " + std::to_string(above.st_uid) + " could replace it");
  }
  if (::fchmod(folder_.get(), kFolderMode) != 0) {
    return folder_error("cannot use runtime folder", path_, last_error());
  }
  // Tells systemd-tmpfiles to leave the folder alone however old its files are.
  ::flock(folder_.get(), LOCK_SH | LOCK_NB);
  return {};
}

Result<void> RuntimeFolder::lock() {
  FileHandle file(
      ::openat(folder_.get(), kLockName, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kFileMode));
  if (!file)
    return folder_error("cannot write in runtime folder", path_, last_error());
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return folder_error("cannot lock runtime folder", path_, last_error());
    }
    const std::string holder = read_file_at(folder_.get(), kLockName);
    const std::string pid = holder.substr(0, holder.find('\n'));
    return fail("cannot use runtime folder", path_.string(),
                "another tonnage" + (pid.empty() ? "" : " (pid " + pid + ")") + " is using it",
                "stop that one, or give this one a runtime_dir of its own");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(file.get(), 0) != 0 ||
      ::pwrite(file.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return folder_error("cannot write in runtime folder", path_, last_error());
  }
  lock_ = std::move(file);
  return {};
}

void RuntimeFolder::clean_up() {
  std::vector<FileHandle> ending;
  for (const auto& name : names_in(folder_.get())) {
    if (name.ends_with(kRecordSuffix)) {
      if (const auto record = parse_record(read_file_at(folder_.get(), name.c_str()))) {
        if (auto pidfd = kill_recorded(*record)) {
          cleaned_.push_back(record->pid);
          ending.push_back(std::move(pidfd));
        } else {
          for (auto& [pid, rest] : kill_rest_of_group(*record, path_.string())) {
            cleaned_.push_back(pid);
            ending.push_back(std::move(rest));
          }
        }
      }
    } else if (!name.ends_with(kSocketSuffix)) {
      continue;
    }
    ::unlinkat(folder_.get(), name.c_str(), 0);
  }
  // What they started and let go of.
  for (auto& [pid, rest] : kill_marked(path_.string() + "/")) {
    cleaned_.push_back(pid);
    ending.push_back(std::move(rest));
  }
  // The budget is only ours once their memory is free.
  const auto deadline = std::chrono::steady_clock::now() + kKilledWaitMax;
  for (const auto& pidfd : ending) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd waiting{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    ::poll(&waiting, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
  }
}

Result<std::filesystem::path> RuntimeFolder::socket_path(ModelId model,
                                                         Generation generation) const {
  auto path = path_ / (std::to_string(model.value) + "-" + std::to_string(generation.value) +
                       std::string(kSocketSuffix));
  if (path.native().size() > kSocketPathBytesMax) {
    return fail("cannot use socket", path.string(),
                "its path has " + std::to_string(path.native().size()) + " bytes, and " +
                    std::to_string(kSocketPathBytesMax) + " are allowed",
                "set runtime_dir to a shorter path, for example /tmp/tonnage");
  }
  return path;
}

Result<void> RuntimeFolder::ensure() {
  struct stat ours{};
  struct stat named{};
  const bool same = ::fstat(folder_.get(), &ours) == 0 && ::stat(path_.c_str(), &named) == 0 &&
                    ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
  struct stat lock_ours{};
  struct stat lock_named{};
  if (same && ::fstat(lock_.get(), &lock_ours) == 0 &&
      ::fstatat(folder_.get(), kLockName, &lock_named, 0) == 0 &&
      lock_ours.st_ino == lock_named.st_ino) {
    return {};
  }
  if (!same) {
    if (auto made = create(); !made)
      return made;
  }
  if (auto relocked = lock(); !relocked)
    return relocked;
  for (const auto& [generation, text] : records_) {
    if (auto written = write_record(generation, text); !written)
      return written;
  }
  return {};
}

Result<void> RuntimeFolder::record(Generation generation, pid_t pid) {
  auto text = make_record(pid);
  if (!text)
    return fail("cannot record server", std::to_string(pid), "it is already gone");
  const auto written = write_record(generation, *text);
  records_[generation] = std::move(*text);
  return written;
}

Result<void> RuntimeFolder::write_record(Generation generation, const std::string& text) const {
  const std::string name = std::to_string(generation.value) + std::string(kRecordSuffix);
  const FileHandle file(::openat(folder_.get(), name.c_str(),
                                 O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, kFileMode));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return folder_error("cannot write in runtime folder", path_, last_error());
  }
  return {};
}

void RuntimeFolder::forget(Generation generation) {
  if (records_.erase(generation) == 0)
    return;
  const std::string name = std::to_string(generation.value) + std::string(kRecordSuffix);
  ::unlinkat(folder_.get(), name.c_str(), 0);
}

}  // namespace tonnage
