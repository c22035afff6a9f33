// What neighbouring programs call the keys of the configuration: hints for people who come from
// them.
#pragma once

#include <string>
#include <string_view>

namespace tonnage {

// Lower case, underscores, without dashes in front and the prefix of another program's variables:
// "n-gpu-layers", "--n-gpu-layers" and "LLAMA_ARG_N_GPU_LAYERS" are one word.
std::string plain_name(std::string_view key);

// The key of a model, or at the top level, that another program calls `key`; empty where there is
// none. Our own names are not in it.
std::string_view model_key_named(std::string_view key);
std::string_view global_key_named(std::string_view key);

}  // namespace tonnage
