// The part of the GGUF reader that touches the disk.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "footprint/gguf.h"

namespace tonnage {
namespace {

constexpr const char* kWhat = "cannot read model file";

// More files than any published model is split into.
constexpr std::int64_t kSplitsMax = 1024;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// splitmix64's finisher: every input bit moves every output bit.
std::uint64_t mixed(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

FileId identity(const struct stat& status) {
  std::uint64_t hash = 0x9e3779b97f4a7c15ULL;
  const auto add = [&hash](std::uint64_t part) { hash = mixed(hash + part); };
  add(static_cast<std::uint64_t>(status.st_dev));
  add(static_cast<std::uint64_t>(status.st_ino));
  add(static_cast<std::uint64_t>(status.st_size));
  add(static_cast<std::uint64_t>(status.st_mtim.tv_sec));
  add(static_cast<std::uint64_t>(status.st_mtim.tv_nsec));
  return FileId(hash == 0 ? 1 : hash);  // zero says that there is no file
}

std::size_t read_all(int fd, std::uint64_t offset, char* out, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = ::pread(fd, out + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

// "-00002-of-00003.gguf", as llama.cpp's gguf-split names its files.
std::string split_suffix(std::int64_t number, std::int64_t count) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "-%05lld-of-%05lld.gguf", static_cast<long long>(number),
                static_cast<long long>(count));
  return text.data();
}

}  // namespace

Result<GgufInfo> read_gguf(const std::string& path) {
  // Non-blocking, so that a named pipe cannot hold this thread.
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) {
    const int error = errno;
    return fail(kWhat, path, error == ENOENT ? "there is no such file" : std::strerror(error));
  }
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0)
    return fail(kWhat, path, std::strerror(errno));
  if (S_ISDIR(status.st_mode)) {
    return fail(kWhat, path, "it is a directory", "name a .gguf file");
  }
  if (!S_ISREG(status.st_mode))
    return fail(kWhat, path, "it is not a regular file");
  auto info = parse_gguf(path, static_cast<std::uint64_t>(status.st_size),
                         [&fd](std::uint64_t offset, char* out, std::size_t size) {
                           return read_all(fd.get(), offset, out, size);
                         });
  if (info)
    info->file = identity(status);
  return info;
}

Result<FileId> file_identity(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0)
    return fail(kWhat, path, std::strerror(errno));
  return identity(status);
}

Result<GgufInfo> read_gguf_model(const std::string& path) {
  auto model = read_gguf(path);
  if (!model || model->split_count() == 1)
    return model;
  const std::int64_t count = model->split_count();
  const std::string suffix = split_suffix(1, count);
  if (count > kSplitsMax || model->integer("split.no").value_or(0) != 0 ||
      !path.ends_with(suffix)) {
    return fail(kWhat, path, "it is one of " + std::to_string(count) + " parts of a model",
                "name the first part, which ends in " + suffix);
  }
  const std::string stem = path.substr(0, path.size() - suffix.size());
  for (std::int64_t number = 2; number <= count; ++number) {
    const auto part = read_gguf(stem + split_suffix(number, count));
    if (!part)
      return std::unexpected(part.error());
    model->tensor_count += part->tensor_count;
    model->tensor_bytes += part->tensor_bytes;
    model->weights += part->weights;
    model->file_size += part->file_size;
    model->file = FileId(mixed(model->file.value + part->file.value));
  }
  return model;
}

std::vector<std::string> model_files(const std::string& path) {
  constexpr std::string_view first = "-00001-of-";
  const std::size_t at = path.rfind(first);
  std::vector<std::string> files{path};
  if (at == std::string::npos)
    return files;
  std::int64_t count = 0;
  const char* end = path.data() + path.size();
  const auto parsed = std::from_chars(path.data() + at + first.size(), end, count);
  if (parsed.ec != std::errc() || count > kSplitsMax || path.substr(at) != split_suffix(1, count))
    return files;
  for (std::int64_t number = 2; number <= count; ++number)
    files.push_back(path.substr(0, at) + split_suffix(number, count));
  return files;
}

}  // namespace tonnage
