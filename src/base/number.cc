#include "base/number.h"

#include <algorithm>

#include "base/text.h"

namespace tonnage {
namespace {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_unit_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '%';
}

}  // namespace

Result<Quantity> split_quantity(std::string_view text) {
  text = trim(text, " ");
  if (text.empty())
    return fail({}, {}, "it is empty");
  if (!is_digit(text.front()))
    return fail({}, {}, "it does not start with a digit");
  Quantity quantity;
  std::size_t at = 0;
  for (; at < text.size() && is_digit(text[at]); ++at) {
    quantity.number = quantity.number * 10 + (text[at] - '0');
  }
  if (at > 18)
    return fail({}, {}, "it is out of range");
  if (at < text.size() && text[at] == '.') {
    long double scale = 1;
    const std::size_t first = ++at;
    for (; at < text.size() && is_digit(text[at]); ++at) {
      scale /= 10;
      quantity.number += scale * (text[at] - '0');
    }
    if (at == first)
      return fail({}, {}, "no digit follows the decimal point");
  }
  quantity.unit = trim(text.substr(at), " ");
  if (!std::ranges::all_of(quantity.unit, is_unit_char)) {
    return fail({}, {}, "unexpected characters '" + std::string(quantity.unit) + "'");
  }
  return quantity;
}

}  // namespace tonnage
