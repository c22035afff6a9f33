// LlamaArguments: the only writer of llama.cpp's flags: what a server and the dry runs of its files
// are given for a placement.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "core/types.h"
#include "engine/llama/llama_gpus.h"
#include "model_file/model_files.h"

namespace tonnage {

// What the adapter must know of a model beside its placement.
struct LlamaModel {
  ModelId id;
  std::string name;            // the served name; also the alias, else the file's path leaks
  std::filesystem::path gguf;  // absolute
  // Files beside it, absolute; those that `args` name come on top.
  std::filesystem::path draft;
  std::filesystem::path projector;
  std::vector<std::string> adapters;
  std::vector<std::string> control_vectors;
  ModelType type = ModelType::llm;
  std::int32_t batch = 512;          // prompt tokens per decode call
  std::int32_t ubatch = 512;         // prompt tokens per graph; sizes the compute buffers
  std::int32_t ctx_checkpoints = 0;  // host copies of the state per slot; each costs memory
  Bytes prompt_cache;  // the server's own cache of prompts, in whole MiB; part of the footprint
  std::optional<std::int32_t> threads;
  // Where quotas or affinity leave fewer processors than the machine has, of which the engine knows
  // nothing. The user's threads and args win.
  std::optional<std::int32_t> threads_allowed;
  std::vector<std::string> args;  // the user's own, last; see read_llama_args
};

// What the server and its dry run must both be given. An encoder takes a whole text in one graph,
// so for embedding models and rerankers both are the placement's context: what is longer than the
// one is longer than the other.
struct LlamaBatches {
  std::int32_t batch = 0;
  std::int32_t ubatch = 0;
};
LlamaBatches llama_batches(const LlamaModel& model, const Placement& placement);

// The engine gives each slot whole steps of its cache: what a slot of `context` tokens takes.
inline constexpr std::int32_t kContextStep = 256;
std::int64_t context_of_all_slots(const Placement& placement);
// The tokens that one request may use where `asked` are asked for: whole steps, and no more than
// the model was trained for, whatever is asked of the server (server-context.cpp, n_ctx_slot).
std::int32_t enforced_context(std::int32_t asked, std::optional<std::int64_t> trained);

// Every file of the model, its own first.
std::vector<NamedFile> llama_files(const LlamaModel& model);
// The draft among them; empty where there is none.
std::string llama_draft(const LlamaModel& model);

// Arguments of llama-server, without the program's name.
std::vector<std::string> llama_server_arguments(const LlamaModel& model, const Placement& placement,
                                                const VisibleGpus& gpus,
                                                const std::filesystem::path& socket);

// Arguments of llama-fit-params for the same server. It reads the file's header only: on a file of
// 3.3 GB it took 10 ms and 15 MiB (wall clock and maximum resident set of /usr/bin/time), in every
// load mode. Set GGML_NO_BACKTRACE=1 in its environment: a model that does not load makes it abort,
// and it would start a debugger to print a back-trace first.
std::vector<std::string> llama_dry_run_arguments(const LlamaModel& model,
                                                 const Placement& placement,
                                                 const VisibleGpus& gpus);
// The same for the draft of that server, which gets a context of the same size.
std::vector<std::string> llama_draft_dry_run_arguments(const LlamaModel& model,
                                                       const Placement& placement,
                                                       const VisibleGpus& gpus);

}  // namespace tonnage
