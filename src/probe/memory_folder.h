// lies_in_memory(): whether files in a folder take memory and not disk.
#pragma once

#include <filesystem>

namespace tonnage {

// True for tmpfs and ramfs. Of a folder that is not there, the nearest one above it counts; false
// where nothing can be learned. Blocks for as long as statfs(2) does.
bool lies_in_memory(std::filesystem::path folder);

}  // namespace tonnage
