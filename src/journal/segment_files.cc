#include "journal/segment_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>

namespace tonnage::journal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExtension = ".jsonl";

std::string name_of(const std::string& run, std::uint64_t segment) {
  char number[24];
  std::snprintf(number, sizeof number, "-%06llu", static_cast<unsigned long long>(segment));
  return run + number + std::string(kExtension);
}

constexpr int kRunDigits = 6;

std::optional<std::uint64_t> number_of(std::string_view digits) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || end != digits.data() + digits.size())
    return std::nullopt;
  return number;
}

std::unexpected<Error> failed(const fs::path& file, int error) {
  return fail("cannot write the journal", file.string(), std::strerror(error),
              error == ENOSPC ? "make room on the disk, or lower journal.total_max" : "");
}

}  // namespace

fs::path journal_folder(const fs::path& state_dir) {
  return state_dir / "journal";
}

std::vector<fs::path> segments_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == kExtension)
      files.push_back(entry->path());
  }
  std::ranges::sort(files, {}, [](const fs::path& file) {
    const std::string name = file.filename().string();
    return std::pair(parse_segment_name(name), name);
  });
  return files;
}

SegmentName parse_segment_name(std::string_view file_name) {
  if (file_name.ends_with(kExtension))
    file_name.remove_suffix(kExtension.size());
  SegmentName name{.run = std::string(file_name)};
  const std::size_t last = file_name.rfind('-');
  if (last == std::string_view::npos)
    return name;
  const auto segment = number_of(file_name.substr(last + 1));
  if (!segment)
    return name;
  name.segment = *segment;
  name.run = file_name.substr(0, last);
  name.run_number = number_of(file_name.substr(0, file_name.find('-'))).value_or(0);
  return name;
}

std::string name_of_run(std::uint64_t run_number, std::string_view name) {
  std::string digits = std::to_string(run_number);
  digits.insert(
      0, static_cast<std::size_t>(std::max(0, kRunDigits - static_cast<int>(digits.size()))), '0');
  return digits + "-" + std::string(name);
}

std::uint64_t next_run_number(const fs::path& folder) {
  std::uint64_t newest = 0;
  for (const fs::path& file : segments_in(folder))
    newest = std::max(newest, parse_segment_name(file.filename().string()).run_number);
  return newest + 1;
}

SegmentFiles::SegmentFiles(fs::path folder, std::string run, Bytes segment_max, Bytes total_max)
    : folder_(std::move(folder)),
      run_(std::move(run)),
      others_max_(std::max(Bytes{0}, total_max - segment_max)) {}

SegmentFiles::~SegmentFiles() {
  close();
}

void SegmentFiles::close() {
  if (fd_ >= 0)
    ::close(std::exchange(fd_, -1));
}

Result<void> SegmentFiles::begin(std::uint64_t segment) {
  close();
  std::error_code error;
  fs::create_directories(folder_, error);
  prune();
  file_ = folder_ / name_of(run_, segment);
  fd_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd_ < 0)
    return failed(file_, errno);
  return {};
}

// The oldest go first. What is read at this moment stays readable until it is closed.
void SegmentFiles::prune() const {
  std::uintmax_t total = 0;
  std::vector<std::pair<fs::path, std::uintmax_t>> files;
  for (const fs::path& file : segments_in(folder_)) {
    std::error_code error;
    const std::uintmax_t size = fs::file_size(file, error);
    if (error)
      continue;
    files.emplace_back(file, size);
    total += size;
  }
  for (const auto& [file, size] : files) {
    if (total <= static_cast<std::uintmax_t>(others_max_.count))
      return;
    std::error_code error;
    if (fs::remove(file, error))
      total -= size;
  }
}

Result<void> SegmentFiles::write(const Chunk& chunk) {
  if (chunk.begins) {
    if (auto begun = begin(chunk.segment); !begun)
      return begun;
  }
  if (fd_ < 0)
    return fail("cannot write the journal", file_.string(), "an earlier part is missing");
  struct stat info{};
  if (::fstat(fd_, &info) != 0 || info.st_nlink == 0) {
    close();
    return fail("cannot write the journal", file_.string(), "somebody deleted it");
  }
  std::string_view rest = chunk.text;
  while (!rest.empty()) {
    const ssize_t written = ::write(fd_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0) {
      const int error = errno;
      // A line that is cut in the middle would say less than none.
      if (::ftruncate(fd_, info.st_size) == 0)
        ::lseek(fd_, info.st_size, SEEK_SET);
      close();
      return failed(file_, error);
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace tonnage::journal
