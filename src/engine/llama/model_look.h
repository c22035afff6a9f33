// ModelLook: what a look at the files of a model tells. It is made by a process of its own, because
// a file on a mount that hangs holds whoever touches it, and nothing ends a thread that is held so.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "engine/llama/llama_arguments.h"
#include "engine/llama/model_plan.h"

namespace tonnage {

// `tonnage` with this as its first argument does look_at_models() with the others.
inline constexpr std::string_view kModelLookFlag = "--look-at-models";

enum class LookDepth : std::uint8_t {
  identity,  // are they there, and still the same
  facts,     // identity, and what their headers say
  drop,      // nothing is told; the page cache forgets the files
};

// What of a model decides about its files, as a text: who is asked with it, and its name later.
std::string look_key(const LlamaModel& model);
// The main file that a key speaks of, for messages.
std::string file_of_key(const std::string& key);

struct ModelLook {
  std::string key;
  FileId files;                     // identity of all of them; zero: one is missing
  std::int64_t changed_s = 0;       // Unix time of the last change of its main file
  std::optional<ModelFacts> facts;  // LookDepth::facts, of files that can be read
  std::string error;                // why something of the above is missing
};

// Touches the disk, and may not return.
ModelLook look_at_model(const std::string& key, LookDepth depth);

// The arguments of a process that looks, without its program.
std::vector<std::string> look_arguments(LookDepth depth, std::span<const std::string> keys);

// The other end: looks at every model at the same time, so that one that hangs holds up no other,
// and writes each look to standard output as soon as it is made. Returns an exit status.
int look_at_models(std::span<char* const> arguments);

std::string encode(const ModelLook& look);
// The whole looks at the beginning of `output`; what was cut off is left out.
std::vector<ModelLook> decode_looks(std::string_view output);

}  // namespace tonnage
