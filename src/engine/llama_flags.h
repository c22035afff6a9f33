// governed_flag: which flags of llama-server belong to tonnage and may not be among a user's args.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tonnage {

// Why `arg` may not be passed through, with the config key to use instead where there is one;
// nothing when it may. Arguments that are not flags may always be passed.
std::optional<std::string> governed_flag(std::string_view arg);

}  // namespace tonnage
