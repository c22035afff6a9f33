// Programs: which file a name on PATH means. Touches the disk.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

namespace tonnage {

// A file that this user may execute.
bool is_program(const std::filesystem::path& path);

// The first of that name in the folders of `path_variable` ("/usr/local/bin:/usr/bin"). Relative
// entries are passed over: they mean another file after each change of directory.
std::optional<std::filesystem::path> find_program(std::string_view name,
                                                  std::string_view path_variable);

}  // namespace tonnage
