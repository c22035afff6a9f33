// write_whole_file: a file that is there whole or not at all.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace tonnage {

// Writes a file beside it and puts that in its place, so that nobody ever reads half of it. Makes
// its folder. Blocks on the disk. An error says which file and why, without what it was for.
Result<void> write_whole_file(const std::filesystem::path& file, std::string_view text);

}  // namespace tonnage
