// Bytes: an amount of memory, and its text form.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tonnage {

// A signed count of bytes. Signed, because headroom may be negative when foreign use grows.
struct Bytes {
  std::int64_t count = 0;

  constexpr Bytes() = default;
  constexpr explicit Bytes(std::int64_t n) : count(n) {}

  friend constexpr auto operator<=>(const Bytes&, const Bytes&) = default;

  constexpr Bytes& operator+=(Bytes other) {
    count += other.count;
    return *this;
  }
  constexpr Bytes& operator-=(Bytes other) {
    count -= other.count;
    return *this;
  }
  friend constexpr Bytes operator+(Bytes a, Bytes b) { return Bytes(a.count + b.count); }
  friend constexpr Bytes operator-(Bytes a, Bytes b) { return Bytes(a.count - b.count); }
  friend constexpr Bytes operator-(Bytes a) { return Bytes(-a.count); }
};

inline constexpr std::int64_t kKiB = std::int64_t{1} << 10;
inline constexpr std::int64_t kMiB = std::int64_t{1} << 20;
inline constexpr std::int64_t kGiB = std::int64_t{1} << 30;

constexpr Bytes operator""_B(unsigned long long n) {
  return Bytes(static_cast<std::int64_t>(n));
}
constexpr Bytes operator""_KiB(unsigned long long n) {
  return Bytes(static_cast<std::int64_t>(n) * kKiB);
}
constexpr Bytes operator""_MiB(unsigned long long n) {
  return Bytes(static_cast<std::int64_t>(n) * kMiB);
}
constexpr Bytes operator""_GiB(unsigned long long n) {
  return Bytes(static_cast<std::int64_t>(n) * kGiB);
}

// amount * permille / 1000, rounded up, without overflow for any real memory size.
constexpr Bytes permille_of(Bytes amount, std::int64_t permille) {
  __extension__ const __int128 product = static_cast<__int128>(amount.count) * permille;
  return Bytes(static_cast<std::int64_t>((product + 999) / 1000));
}

// "6GiB", "512MiB", "4GB" (decimal), "1.5GiB", "0"; a bare non-zero number is an error, because its
// unit would be a guess.
Result<Bytes> parse_bytes(std::string_view text);

// For people: "3.2 GiB", "518 MiB", "0 B"; negative amounts keep their sign.
std::string to_text(Bytes bytes);

}  // namespace tonnage
