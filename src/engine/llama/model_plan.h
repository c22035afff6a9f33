// ModelPlan: what the configuration and the files of one model amount to: the model as the engine's
// adapter is told of it, its files and headers, its ladder, and what a user should know.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "core/types.h"
#include "engine/llama/llama_arguments.h"
#include "footprint/gguf.h"
#include "footprint/placement_rows.h"
#include "model_file/model_files.h"

namespace tonnage {

// The configured model in the words of the engine's adapter.
LlamaModel llama_model(const Config& config, ModelId id);

// What the files of a model say. Files that the engine copies into memory are in `companions`.
struct ModelFacts {
  ModelFiles files;
  GgufInfo gguf;
  Companions companions;
  // Tokens that it was trained for: its header's word, or that of `--override-kv`.
  std::optional<std::int64_t> trained_context;
};

// Looks at every file of the model and reads the headers that count. An error names the file.
// Blocks for as long as the file systems do: for workers and the command line, never for the loop.
Result<ModelFacts> read_model_facts(const LlamaModel& model);

// How many checkpoints of its state the server keeps per slot: as configured, or by its kind.
std::int32_t checkpoints_of(const ModelConfig& config, const ModelFacts& facts);

// The ladder as it can be kept: contexts are what the server will enforce. A ladder of the user's
// that names layers is the whole ladder; otherwise each of its steps is tried on the devices in
// every way that makes sense, and the processor comes last.
std::vector<ProfiledPlacement> ladder_of(const ModelConfig& config, const LlamaModel& model,
                                         const ModelFacts& facts, const DeviceSpace& space);

// "a.gguf 4.10 GiB, draft b.gguf 512 MiB": what each file of the model takes on the disk, of a
// split one all parts; empty where there is but one.
std::string file_sizes(const ModelFiles& files);

// A sentence for `check`, the status and the log where more context is configured than the model
// was trained for; empty where all is well.
std::string context_note(const ModelConfig& config, const LlamaModel& model,
                         const ModelFacts& facts);

}  // namespace tonnage
