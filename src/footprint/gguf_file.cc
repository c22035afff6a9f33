// The part of the GGUF reader that touches the disk.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "footprint/gguf.h"
#include "model_file/model_files.h"

namespace tonnage {
namespace {

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

}  // namespace

Result<GgufInfo> read_gguf(const std::string& path) {
  // Non-blocking, so that a named pipe cannot hold this thread.
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) {
    const int error = errno;
    return fail(kCannotReadModel, path,
                error == ENOENT ? "there is no such file" : std::strerror(error));
  }
  const auto file = look_at(fd.get(), path);
  if (!file)
    return std::unexpected(file.error());
  auto info = parse_gguf(path, static_cast<std::uint64_t>(file->size.count),
                         [&fd](std::uint64_t offset, char* out, std::size_t size) {
                           return read_all(fd.get(), offset, out, size);
                         });
  if (info)
    info->file = file->id;
  return info;
}

Result<GgufInfo> read_gguf_model(const std::string& path) {
  auto model = read_gguf(path);
  if (!model || model->split_count() == 1)
    return model;
  const std::int64_t count = model->split_count();
  const std::string suffix = split_suffix(1, count);
  if (count > kPartsMax || model->integer("split.no").value_or(0) != 0 || !path.ends_with(suffix)) {
    return fail(kCannotReadModel, path,
                "it is one of " + std::to_string(count) + " parts of a model",
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
    model->file = combined(model->file, part->file);
  }
  return model;
}

}  // namespace tonnage
