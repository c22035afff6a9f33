#include "process/program.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace tonnage {

bool is_program(const std::filesystem::path& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

std::optional<std::filesystem::path> find_program(std::string_view name,
                                                  std::string_view path_variable) {
  while (!path_variable.empty()) {
    const std::size_t end = std::min(path_variable.find(':'), path_variable.size());
    const std::filesystem::path folder(path_variable.substr(0, end));
    if (folder.is_absolute() && is_program(folder / name))
      return folder / name;
    path_variable.remove_prefix(std::min(end + 1, path_variable.size()));
  }
  return std::nullopt;
}

}  // namespace tonnage
