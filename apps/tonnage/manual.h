// The manual page of `tonnage`, made from the command line itself.
#pragma once

#include <string>

#include "tonnage/command_doc.h"

namespace tonnage {

// roff with the man macros; `version` stands at its foot.
std::string manual_page(const CommandDoc& program, const std::string& version);

}  // namespace tonnage
