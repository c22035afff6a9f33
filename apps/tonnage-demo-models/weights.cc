#include "tonnage-demo-models/weights.h"

#include <array>
#include <bit>
#include <cstring>

#include "base/check.h"

namespace tonnage {
namespace {

// A prime: no row length divides it, and the block stays within a core's cache.
constexpr std::int64_t kBlockNumbers = 524'309;

}  // namespace

std::uint32_t number_bits(ElementType type, bool negative, int exponent, std::uint32_t random) {
  TONNAGE_CHECK(exponent >= -14 && exponent <= 15, "half precision has no such normal number");
  const std::uint32_t sign = negative ? 1 : 0;
  if (type == ElementType::f16) {
    return sign << 15 | static_cast<std::uint32_t>(exponent + 15) << 10 | (random & 0x3ffU);
  }
  return sign << 31 | static_cast<std::uint32_t>(exponent + 127) << 23 | (random & 0x7fffffU);
}

void append_number(std::string& out, ElementType type, std::uint32_t bits) {
  static_assert(std::endian::native == std::endian::little, "the low bytes come first");
  std::array<char, sizeof(bits)> bytes;
  std::memcpy(bytes.data(), &bits, sizeof(bits));
  out.append(bytes.data(), static_cast<std::size_t>(element_bytes(type)));
}

std::string noise_block(Prng& prng, ElementType type, int exponent) {
  std::string block;
  block.reserve(static_cast<std::size_t>(kBlockNumbers * element_bytes(type)));
  for (std::int64_t i = 0; i < kBlockNumbers; ++i) {
    const std::uint64_t random = prng.next();
    append_number(
        block, type,
        number_bits(type, (random & 1U) != 0, exponent, static_cast<std::uint32_t>(random >> 32)));
  }
  return block;
}

int neutral_exponent(std::int64_t inputs) {
  // The largest e with (1.53 x 2^e)^2 x inputs <= 2, in integers: 234/100 is 1.53 squared.
  int halvings = 0;
  while (halvings < 14 && inputs * 234 > 200 * (std::int64_t{1} << (2 * halvings)))
    ++halvings;
  return -halvings;
}

}  // namespace tonnage
