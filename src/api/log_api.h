// The daemon's own log over HTTP: which lines it writes, and how that is changed.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "api/errors.h"

namespace tonnage::api {

// The least severe first, in the order of the configuration's log.level.
inline constexpr std::array<std::string_view, 4> kLogLevels = {"debug", "info", "warn", "error"};

// {"level","format"}
std::string log_json(std::string_view level, std::string_view format);

// Of PUT /api/memory/log: {"level": "debug"} and nothing else. One of kLogLevels, else an error
// that names them.
ApiResult<std::string_view> read_log_level(std::string_view body);

}  // namespace tonnage::api
