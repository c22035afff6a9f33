#include "probe/memory_folder.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include <cerrno>

namespace tonnage {

bool lies_in_memory(std::filesystem::path folder) {
  struct statfs info{};
  while (::statfs(folder.c_str(), &info) != 0) {
    if (errno != ENOENT || folder == folder.parent_path())
      return false;
    folder = folder.parent_path();
  }
  return info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC;
}

}  // namespace tonnage
