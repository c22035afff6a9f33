// engine_error(): what a model server said when it refused or failed, as an error of ours.
#pragma once

#include <optional>
#include <string_view>

#include "api/errors.h"

namespace tonnage::api {

// `body` is what the server of `model` answered with `status`: llama.cpp's error object, another
// program's JSON, a page, or nothing. The result is the same whether the answer began as an error
// or the error came within a stream. A prompt that is too long becomes 400 with
// context_length_exceeded and both numbers, whatever the engine called it. The engine's words are
// kept up to a bound; JSON in its message is unpacked.
ApiError engine_error(int status, std::string_view body, std::string_view model);

// The error in one event of a server's stream; nothing where the event is no error.
std::optional<ApiError> engine_error_event(std::string_view event, std::string_view model);

}  // namespace tonnage::api
