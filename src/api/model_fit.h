// unfit_model(): whether a model of some kind can ever do what a door is for.
#pragma once

#include <optional>
#include <string_view>

#include "api/errors.h"
#include "api/route.h"
#include "core/types.h"

namespace tonnage::api {

// Why a model cannot do the work of a door, before it is loaded for nothing; empty where it can, or
// where only its server knows. `path` is the door's.
std::optional<ApiError> unfit_model(std::string_view name, ModelType type, Work work,
                                    std::string_view path);

}  // namespace tonnage::api
