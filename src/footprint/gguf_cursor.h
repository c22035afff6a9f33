// GgufCursor: walks the header of a GGUF file with one bounded window of it in memory.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "base/result.h"
#include "footprint/gguf.h"

namespace tonnage {

static_assert(std::endian::native == std::endian::little, "GGUF numbers are copied as they lie");

// After the first error every read gives zeros and the error stays. Borrows what it is given.
class GgufCursor {
 public:
  GgufCursor(const std::string& object, std::uint64_t file_size, const ReadAt& read_at)
      : object_(object), size_(file_size), read_at_(read_at) {}

  bool ok() const { return !error_; }
  const Error& error() const { return *error_; }
  std::uint64_t at() const { return at_; }
  std::uint64_t left() const { return size_ - at_; }

  void reject(std::string why) {
    if (!error_)
      error_ = Error{"cannot read model file", object_, std::move(why), {}};
  }
  void reject_at(std::uint64_t offset, const std::string& why) {
    reject("at byte " + std::to_string(offset) + ": " + why);
  }

  // True when `n` more bytes lie in the file.
  bool need(std::uint64_t n, const char* what) {
    if (error_)
      return false;
    if (n <= left())
      return true;
    const std::uint64_t missing = n - left();
    reject("it is truncated: " + std::string(what) + " at byte " + std::to_string(at_) + " needs " +
           std::to_string(missing) + (missing == 1 ? " byte" : " bytes") +
           " more than the file's " + std::to_string(size_));
    return false;
  }

  void skip(std::uint64_t n, const char* what) {
    if (need(n, what))
      at_ += n;
  }

  template <typename T>
  T number(const char* what) {
    T value{};
    std::array<char, sizeof(T)> bytes{};
    if (copy(bytes.data(), sizeof(T), what))
      std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }

  std::string text(std::uint64_t n, const char* what) {
    std::string out;
    if (!need(n, what))
      return out;  // before memory is taken for it
    out.resize(n);
    return copy(out.data(), n, what) ? out : std::string();
  }

 private:
  static constexpr std::uint64_t kWindowBytes = std::uint64_t{64} * 1024;

  bool copy(char* out, std::uint64_t n, const char* what) {
    if (!need(n, what))
      return false;
    while (n > 0) {
      if (at_ < window_at_ || at_ >= window_at_ + window_.size()) {
        if (!refill())
          return false;
      }
      const std::uint64_t offset = at_ - window_at_;
      const std::uint64_t take = std::min<std::uint64_t>(n, window_.size() - offset);
      std::memcpy(out, window_.data() + offset, take);
      out += take;
      at_ += take;
      n -= take;
    }
    return true;
  }

  bool refill() {
    window_at_ = at_;
    window_.resize(std::min(kWindowBytes, left()));
    const std::size_t came = read_at_(at_, window_.data(), window_.size());
    if (came == window_.size())
      return true;
    window_.clear();
    reject_at(at_ + came, "the file could not be read");
    return false;
  }

  const std::string& object_;
  const std::uint64_t size_;
  const ReadAt& read_at_;
  std::uint64_t at_ = 0;
  std::string window_;
  std::uint64_t window_at_ = 0;
  std::optional<Error> error_;
};

}  // namespace tonnage
