// drop_from_page_cache: gives the kernel back what it keeps of a model file that nobody maps.
#pragma once

#include <string>
#include <vector>

namespace tonnage {

// A hint: pages that somebody maps or that are not written back stay. Files that cannot be opened
// are left alone. Blocks for milliseconds per GiB: not for the loop. Source: posix_fadvise(2).
void drop_from_page_cache(const std::vector<std::string>& files);

}  // namespace tonnage
