// The key table as a JSON Schema and as tables for the documentation.
#pragma once

#include <string>

namespace tonnage {

// Draft 2020-12, pretty-printed, ends in a newline. Editors use it to check and complete; what it
// cannot say (unique names, a key where one is needed) only tonnage itself checks.
std::string config_schema();

// Markdown: one table per map, and one of environment variables.
std::string config_reference();

}  // namespace tonnage
