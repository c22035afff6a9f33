// Behaviour: what a fake model server is to do wrong, from the file `behaviour.json` beside it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace fake_gpu {

// {"state": FILE, "default": {...}, "models": {NAME: {...}}}; the keys of `default` and of a
// model's own entry are these names.
struct Behaviour {
  std::int64_t load_ms = 50;              // from its start until it is ready
  std::int64_t token_ms = 2;              // per token
  std::int64_t dry_run_ms = 0;            // of llama-fit-params
  std::int64_t context_mib = 300;         // a CUDA context, on each device that is used
  std::int64_t estimate_permille = 1000;  // the dry run says this share of the truth
  std::int64_t leak_mib = 0;              // stays used on its first device when it has ended
  std::int64_t grow_at = 0;               // with this request of a process (0: never) ...
  std::int64_t grow_mib = 0;              // ... its cache takes so much more
  std::int64_t oom_at = 0;  // with this request it wants more than its device has, and aborts ...
  std::int64_t oom_times = 1;   // ... so many times in all, over all processes of this model
  std::int64_t hang_at = 0;     // with this request it stops answering anybody ...
  std::int64_t hang_times = 1;  // ... so many times in all
  std::int64_t short_at = 0;    // with this request it has no memory left, says so and lives on ...
  std::int64_t short_times = 1;  // ... so many times in all
  std::string error_body;        // not empty: every request is answered 500 with this
  bool hang_at_load = false;     // it never becomes ready
  bool no_devices = false;       // as an engine without a plug-in for GPUs
  bool vulkan = false;           // its devices are called Vulkan0, Vulkan1
  std::string last_words;        // said when it loads a model, and then it ends ...
  std::int64_t exit_status = 1;  // ... with this status
};

// The folder of this program's file.
std::filesystem::path program_folder();

// NAME is that of the model's file, without what follows its last dot. FAKE_LLAMA_BEHAVIOUR names
// another file. Without any, or with one that is no such file, nothing goes wrong.
Behaviour read_behaviour(const std::string& model_path);

// Of the device set: FAKE_GPU_STATE, else what the file says; empty: a machine without a GPU.
std::string state_path();

}  // namespace fake_gpu
