#include "base/whole_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

namespace tonnage {

Result<void> write_whole_file(const std::filesystem::path& file, std::string_view text) {
  constexpr const char* kWhat = "cannot write";
  std::error_code error;
  std::filesystem::create_directories(file.parent_path(), error);
  const std::filesystem::path fresh = file.string() + ".new";
  std::ofstream stream(fresh, std::ios::binary | std::ios::trunc);
  stream << text;
  stream.close();
  if (!stream)
    return fail(kWhat, fresh.string(), std::strerror(errno));
  std::filesystem::rename(fresh, file, error);
  if (error)
    return fail(kWhat, file.string(), error.message());
  return {};
}

}  // namespace tonnage
