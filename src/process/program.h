// is_program: whether a path may be executed.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace tonnage {

inline bool is_program(const std::filesystem::path& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

}  // namespace tonnage
