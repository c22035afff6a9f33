// The manual page of `vramd`, made from the command line itself.
#pragma once

#include <string>

#include "vramd/command_doc.h"

namespace vramd {

// roff with the man macros; `version` stands at its foot.
std::string manual_page(const CommandDoc& program, const std::string& version);

}  // namespace vramd
