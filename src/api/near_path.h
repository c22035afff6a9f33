// nothing_at(): the error of a path that does not exist, with the one that may have been meant.
#pragma once

#include <string_view>

#include "api/errors.h"

namespace tonnage::api {

// 404. Base URLs with "/v1" too many or too few, and paths of a model server or of Ollama, are told
// what to use.
ApiError nothing_at(std::string_view path);

}  // namespace tonnage::api
