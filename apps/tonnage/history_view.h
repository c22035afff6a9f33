// What `tonnage history` prints for people, as pure functions of the API's JSON.
#pragma once

#include <string>

#include "tonnage/client.h"
#include "tonnage/terminal.h"

namespace tonnage {

// The step that shows `since` in a screenful of rows.
Duration readable_step(Duration since);

// A table for each pool, a bar in each row; within 80 columns.
std::string history_view(const Json& history, Duration since, LocalTime local_time,
                         const Terminal& terminal);

}  // namespace tonnage
