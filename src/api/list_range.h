// read_range(): which part of a list of decisions is asked for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "api/errors.h"
#include "api/route.h"

namespace tonnage::api {

struct ListRange {
  std::uint64_t after = 0;  // only what has a larger seq
  std::size_t limit = 0;    // the newest so many
};

// The parameters after, limit and follow; 400 names one that is no number, or neither 0 nor 1. A
// limit above `most` is `most`.
ApiResult<ListRange> read_range(const Route& route, std::size_t fallback, std::size_t most);

}  // namespace tonnage::api
