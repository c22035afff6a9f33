#include "model_file/page_cache.h"

#include <fcntl.h>

#include "base/file_handle.h"

namespace tonnage {

void drop_from_page_cache(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    const FileHandle handle(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (handle)
      ::posix_fadvise(handle.get(), 0, 0, POSIX_FADV_DONTNEED);
  }
}

}  // namespace tonnage
