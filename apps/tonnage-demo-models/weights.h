// Weights: pseudo-random tensor contents that are made once and repeated, so that writing is quick.
#pragma once

#include <cstdint>
#include <string>

#include "base/prng.h"

namespace tonnage {

// How one number is stored. Both are read in place by a CPU back-end: no repacked copy.
enum class ElementType : std::uint8_t { f16, f32 };

constexpr std::int64_t element_bytes(ElementType type) {
  return type == ElementType::f16 ? 2 : 4;
}

// The bits of a number with the given sign and binary exponent and a mantissa from `random`:
// sign x [1, 2) x 2^exponent. Always finite and normal; no floating point arithmetic, so the same
// on every machine. `exponent` must lie in [-14, 15].
std::uint32_t number_bits(ElementType type, bool negative, int exponent, std::uint32_t random);

// Appends the little-endian bytes of `bits`.
void append_number(std::string& out, ElementType type, std::uint32_t bits);

// A block of numbers with random sign and mantissa and one exponent. Its length shares no factor
// with a tensor's row, so that rows of a matrix differ although the block repeats.
std::string noise_block(Prng& prng, ElementType type, int exponent);

// The exponent at which a matrix with `inputs` columns of such noise keeps the size of its input:
// 1.53 x 2^e = 1 / sqrt(inputs), because sign x [1, 2) has a root mean square of 1.53.
int neutral_exponent(std::int64_t inputs);

}  // namespace tonnage
