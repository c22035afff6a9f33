// LogSession: where the daemon's own log goes, how it looks, and what it leaves out.
#pragma once

#include <string_view>

#include <spdlog/common.h>

#include "config/config.h"

namespace tonnage {

// Makes spdlog write to `fd`: lines for people, or one JSON object a line. Writing never blocks.
// One at a time; at its end what was logged is written, and later lines go nowhere.
class LogSession {
 public:
  LogSession(LogLevel level, LogFormat format, int fd);
  ~LogSession();
  LogSession(const LogSession&) = delete;
  LogSession& operator=(const LogSession&) = delete;
};

// `auto` as text for a terminal, else as json; the others as they are.
LogFormat resolved(LogFormat format, int fd);

// Of the session that runs. Any thread.
void set_log_level(LogLevel level);
LogLevel log_level();
LogFormat log_format();

// One line; in JSON the members of `fields`, itself the text of a JSON object, stand beside it.
void log_line(spdlog::level::level_enum level, std::string_view text, std::string_view fields);

// A whole line, without its newline, as it is: no level, no time, no format.
void write_log_line(std::string_view line);

// Opens /dev/null where standard input, output or error is closed: else the next file or socket
// would get its number, and what is meant for people would be written there.
void hold_standard_streams();

}  // namespace tonnage
