#include "tonnage-demo-models/gguf_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/check.h"

namespace tonnage {
namespace {

// GGUF is little-endian by definition and the numbers below are copied as they lie in memory.
static_assert(std::endian::native == std::endian::little);

constexpr std::uint32_t kVersion = 3;
constexpr std::int64_t kAlignment = 32;  // the format's default
enum ValueType : std::uint32_t {
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10
};

template <typename T>
void put(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

void put_string(std::string& out, std::string_view text) {
  put<std::uint64_t>(out, text.size());
  out.append(text);
}

std::int64_t aligned(std::int64_t n) {
  return (n + kAlignment - 1) / kAlignment * kAlignment;
}

// GGML's numbers for the element types.
std::uint32_t ggml_type(ElementType type) {
  return type == ElementType::f16 ? 1 : 0;
}

// Writes everything to one descriptor and remembers the first error.
class FileSink {
 public:
  explicit FileSink(const std::string& path)
      : fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
    if (fd_ < 0)
      error_ = errno;
  }
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;
  ~FileSink() {
    if (fd_ >= 0)
      ::close(fd_);
  }

  void write(std::string_view bytes) {
    while (error_ == 0 && !bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0) {
        if (errno != EINTR)
          error_ = errno;
        continue;
      }
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }

  // The number of the first error, 0 if there was none.
  int close() {
    if (fd_ >= 0 && ::close(fd_) != 0 && error_ == 0)
      error_ = errno;
    fd_ = -1;
    return error_;
  }

 private:
  int fd_;
  int error_ = 0;
};

}  // namespace

void GgufWriter::add_key(std::string_view key, std::uint32_t value_type) {
  put_string(keys_, key);
  put(keys_, value_type);
  ++key_count_;
}

void GgufWriter::add_u32(std::string_view key, std::uint32_t value) {
  add_key(key, kU32);
  put(keys_, value);
}

void GgufWriter::add_u64(std::string_view key, std::uint64_t value) {
  add_key(key, kU64);
  put(keys_, value);
}

void GgufWriter::add_bool(std::string_view key, bool value) {
  add_key(key, kBool);
  keys_.push_back(value ? '\1' : '\0');
}

void GgufWriter::add_f32_bits(std::string_view key, std::uint32_t bits) {
  add_key(key, kF32);
  put(keys_, bits);
}

void GgufWriter::add_string(std::string_view key, std::string_view value) {
  add_key(key, kString);
  put_string(keys_, value);
}

void GgufWriter::add_strings(std::string_view key, const std::vector<std::string>& values) {
  add_key(key, kArray);
  put<std::uint32_t>(keys_, kString);
  put<std::uint64_t>(keys_, values.size());
  for (const std::string& value : values)
    put_string(keys_, value);
}

void GgufWriter::add_i32s(std::string_view key, const std::vector<std::int32_t>& values) {
  add_key(key, kArray);
  put<std::uint32_t>(keys_, kI32);
  put<std::uint64_t>(keys_, values.size());
  for (const std::int32_t value : values)
    put(keys_, value);
}

void GgufWriter::add_tensor(std::string_view name, std::vector<std::int64_t> dims, ElementType type,
                            std::shared_ptr<const std::string> pattern, std::int64_t start) {
  TONNAGE_CHECK(!pattern->empty() && start >= 0, "a tensor needs bytes to repeat");
  std::int64_t size_bytes = element_bytes(type);
  for (const std::int64_t dim : dims)
    size_bytes *= dim;
  start %= static_cast<std::int64_t>(pattern->size());
  tensors_.push_back(
      {std::string(name), std::move(dims), type, std::move(pattern), start, size_bytes});
}

std::string GgufWriter::header() const {
  std::string out = "GGUF";
  put(out, kVersion);
  put<std::uint64_t>(out, tensors_.size());
  put(out, key_count_);
  out += keys_;
  std::int64_t offset = 0;
  for (const Tensor& tensor : tensors_) {
    put_string(out, tensor.name);
    put(out, static_cast<std::uint32_t>(tensor.dims.size()));
    for (const std::int64_t dim : tensor.dims)
      put(out, dim);
    put(out, ggml_type(tensor.type));
    put(out, offset);
    offset += aligned(tensor.size_bytes);
  }
  out.resize(static_cast<std::size_t>(aligned(static_cast<std::int64_t>(out.size()))), '\0');
  return out;
}

Bytes GgufWriter::file_size() const {
  Bytes size(static_cast<std::int64_t>(header().size()));
  for (const Tensor& tensor : tensors_)
    size += Bytes(aligned(tensor.size_bytes));
  return size;
}

Result<void> GgufWriter::write(const std::string& path) const {
  const std::string temporary = path + ".part";
  FileSink sink(temporary);
  sink.write(header());
  for (const Tensor& tensor : tensors_) {
    const std::string_view pattern = *tensor.pattern;
    auto at = static_cast<std::size_t>(tensor.start);
    auto left = static_cast<std::size_t>(tensor.size_bytes);
    while (left > 0) {
      const std::size_t n = std::min(left, pattern.size() - at);
      sink.write(pattern.substr(at, n));
      left -= n;
      at = 0;
    }
    sink.write(std::string(static_cast<std::size_t>(aligned(tensor.size_bytes) - tensor.size_bytes),
                           '\0'));
  }
  int error = sink.close();
  if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0)
    error = errno;
  if (error != 0) {
    ::unlink(temporary.c_str());
    return fail("cannot write model file", path, std::strerror(error));
  }
  return {};
}

}  // namespace tonnage
