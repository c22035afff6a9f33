#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace vramd {

void check_failed(const char* condition, const char* file, int line, const char* message) noexcept {
  std::fprintf(stderr, "vramd: broken invariant at %s:%d: %s (%s)\n", file, line, message,
               condition);
  std::fflush(stderr);
  std::abort();
}

}  // namespace vramd
