// split_quantity: "1.5 GiB" into its number and its unit, for every text form with a unit.
#pragma once

#include <string_view>

#include "base/result.h"

namespace tonnage {

struct Quantity {
  long double number = 0;  // finite, not negative
  std::string_view unit;   // what follows the number, without spaces; points into the input
};

// Accepts digits with at most one decimal point, optional spaces, then letters or '%'. Signs,
// exponents and anything else are errors; the why of the error says which.
Result<Quantity> split_quantity(std::string_view text);

}  // namespace tonnage
