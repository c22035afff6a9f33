// VRAMD_CHECK: assertions that stay on in release builds.
#pragma once

namespace vramd {

// Prints what was broken and where to stderr, then aborts. Never returns.
[[noreturn]] void check_failed(const char* condition, const char* file, int line,
                               const char* message) noexcept;

}  // namespace vramd

// An invariant of the program itself. Errors of the world are Result values, never checks.
#define VRAMD_CHECK(condition, message)                                 \
  do {                                                                  \
    if (!(condition)) [[unlikely]] {                                    \
      ::vramd::check_failed(#condition, __FILE__, __LINE__, (message)); \
    }                                                                   \
  } while (false)
