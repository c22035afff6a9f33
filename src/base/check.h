// TONNAGE_CHECK: assertions that stay on in release builds.
#pragma once

namespace tonnage {

// Prints what was broken and where to stderr, then aborts. Never returns.
[[noreturn]] void check_failed(const char* condition, const char* file, int line,
                               const char* message) noexcept;

}  // namespace tonnage

// An invariant of the program itself. Errors of the world are Result values, never checks.
#define TONNAGE_CHECK(condition, message)                                 \
  do {                                                                    \
    if (!(condition)) [[unlikely]] {                                      \
      ::tonnage::check_failed(#condition, __FILE__, __LINE__, (message)); \
    }                                                                     \
  } while (false)
