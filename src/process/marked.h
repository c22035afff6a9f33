// Marked processes: those that a server of ours has started, wherever they went since. A server is
// given a variable with a name of its own, and what it starts inherits that.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_handle.h"

namespace tonnage {

inline constexpr std::string_view kMarkVariable = "TONNAGE_SERVER";

// "TONNAGE_SERVER=<name>", for the environment of a server.
std::string mark_variable(std::string_view name);

// Kills every process of this user whose mark begins with `name`, but not this one; a descriptor
// (pidfd) of each. Reads /proc, which a process that hangs in the kernel can hold up: not for the
// loop's thread.
std::vector<std::pair<pid_t, FileHandle>> kill_marked(std::string_view name);

}  // namespace tonnage
