#include "model_file/model_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

namespace tonnage {
namespace {

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

// Why a file of this kind is no model file; empty when it may be one.
std::string wrong_kind(const struct stat& status) {
  if (S_ISDIR(status.st_mode))
    return "it is a directory";
  return S_ISREG(status.st_mode) ? "" : "it is not a regular file";
}

// "it does not exist (named by `draft`)"
std::string named(std::string why, const NamedFile& file) {
  return file.named_by.empty() ? why : why + " (named by `" + file.named_by + "`)";
}

// One file without opening it: a named pipe would hold this thread, and reading is checked by name.
Result<ModelFile> look(const NamedFile& file, const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    const int error = errno;
    struct stat link{};
    const bool broken = error == ENOENT && ::lstat(path.c_str(), &link) == 0;
    std::string why = error == ENOENT ? "there is no such file" : std::strerror(error);
    if (broken)
      why = "it is a link to a file that does not exist";
    return fail(kCannotReadModel, path, named(why, file));
  }
  if (const std::string why = wrong_kind(status); !why.empty())
    return fail(kCannotReadModel, path, named(why, file), "name a file");
  if (::access(path.c_str(), R_OK) != 0)
    return fail(kCannotReadModel, path, named(std::strerror(errno), file));
  return ModelFile{file.role, path, identity(status), Bytes(status.st_size), status.st_mtim.tv_sec};
}

}  // namespace

std::string_view to_text(FileRole role) {
  switch (role) {
    case FileRole::model:
      return "model";
    case FileRole::draft:
      return "draft";
    case FileRole::projector:
      return "projector";
    case FileRole::adapter:
      return "adapter";
    case FileRole::control_vector:
      return "control vector";
    case FileRole::other:
      return "file";
  }
  return "file";
}

FileId combined(FileId a, FileId b) {
  return FileId(mixed(a.value + b.value * 0x9e3779b97f4a7c15ULL));
}

FileId ModelFiles::identity() const {
  FileId all{};
  for (const ModelFile& file : files)
    all = combined(combined(all, FileId(static_cast<std::uint64_t>(file.role) + 1)), file.id);
  return all;
}

Result<ModelFile> look_at(int fd, const std::string& path) {
  struct stat status{};
  if (::fstat(fd, &status) != 0)
    return fail(kCannotReadModel, path, std::strerror(errno));
  if (const std::string why = wrong_kind(status); !why.empty())
    return fail(kCannotReadModel, path, why, "name a .gguf file");
  return ModelFile{FileRole::model, path, identity(status), Bytes(status.st_size),
                   status.st_mtim.tv_sec};
}

Result<ModelFiles> read_model_files(std::span<const NamedFile> named) {
  ModelFiles all;
  for (const NamedFile& file : named) {
    for (const std::string& path : parts_of(file.path)) {
      auto part = look(file, path);
      if (!part)
        return std::unexpected(part.error());
      all.files.push_back(std::move(*part));
    }
  }
  return all;
}

std::string split_suffix(std::int64_t number, std::int64_t count) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "-%05lld-of-%05lld.gguf", static_cast<long long>(number),
                static_cast<long long>(count));
  return text.data();
}

std::vector<std::string> parts_of(const std::string& path) {
  constexpr std::string_view first = "-00001-of-";
  const std::size_t at = path.rfind(first);
  std::vector<std::string> files{path};
  if (at == std::string::npos)
    return files;
  std::int64_t count = 0;
  const char* end = path.data() + path.size();
  const auto parsed = std::from_chars(path.data() + at + first.size(), end, count);
  if (parsed.ec != std::errc() || count > kPartsMax || path.substr(at) != split_suffix(1, count))
    return files;
  for (std::int64_t number = 2; number <= count; ++number)
    files.push_back(path.substr(0, at) + split_suffix(number, count));
  return files;
}

}  // namespace tonnage
