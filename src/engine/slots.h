// count_busy_slots: how many slots of a llama-server work, from its answer on /slots.
#pragma once

#include <optional>
#include <string_view>

namespace tonnage {

// `json` is an array of objects that each have "is_processing" at their top level. Nothing when it
// is something else. Strings in it come from clients: what looks like the key inside one does not
// count.
std::optional<int> count_busy_slots(std::string_view json);

}  // namespace tonnage
