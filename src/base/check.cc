#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace tonnage {

void check_failed(const char* condition, const char* file, int line, const char* message) noexcept {
  std::fprintf(stderr, "tonnage: broken invariant at %s:%d: %s (%s)\n", file, line, message,
               condition);
  std::fflush(stderr);
  std::abort();
}

}  // namespace tonnage
