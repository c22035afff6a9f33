// The environment of the engine's programs: the daemon's own few variables, what the user's
// environment says about devices, proxies and libraries, and what the configuration adds.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tonnage {

// Whether a variable of the daemon's environment is passed on to the engine: where libraries are,
// which devices are seen and how their drivers behave (ROCm's overrides, Vulkan, oneAPI), proxies,
// the user's folders. Everything else stays behind: secrets, LD_PRELOAD, flags in disguise
// (LLAMA_ARG_*).
bool is_passed_on(std::string_view name);

// `base` with `more` ("NAME=value") over it: of two variables of one name the later one stays.
std::vector<std::string> merged_environment(std::vector<std::string> base,
                                            std::span<const std::string> more);

// Why a variable that is configured for a model server has no effect, or nothing.
std::optional<std::string> variable_without_effect(std::string_view name);

// The home folder of the user who runs the daemon, whatever the environment says; "/" without one.
std::string home_of_user();

}  // namespace tonnage
