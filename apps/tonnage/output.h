// Standard output of a subcommand: what cannot be written is an error and not a success.
#pragma once

#include <string_view>

#include "tonnage/exit_code.h"

namespace tonnage {

// To be called first in the program: a reader that closes the pipe is an error of write(2) from
// then on, and a standard stream that is closed stays so, instead of becoming the next socket.
void prepare_output();

// Writes and flushes; false when that failed, so that something that goes on can end.
bool print_now(std::string_view text);

// To be called last: `code`, or `failed` where standard output did not take everything. Says why on
// standard error, but for a reader that closed the pipe: whoever writes `| head` knows.
ExitCode finish_output(ExitCode code);

}  // namespace tonnage
