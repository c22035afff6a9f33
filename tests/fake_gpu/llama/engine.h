// What both programs do first: find their devices, and read the model.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "footprint/gguf.h"
#include "llama/arguments.h"
#include "llama/behaviour.h"
#include "llama/memory_plan.h"

namespace fake_gpu {

// Null on a machine without a GPU.
std::unique_ptr<SharedSet> open_set();

// All that this engine offers; none where there is no set or its behaviour says so.
std::vector<EngineDevice> offered_devices(SharedSet* set, const Behaviour& behaviour);

// Those of `offered` that `--device`, `--split-mode` and `--main-gpu` chose. An error in the words
// of the real programs.
std::expected<std::vector<EngineDevice>, std::string> chosen_devices(
    const Arguments& arguments, const std::vector<EngineDevice>& offered);

// The header, or why the engine would not take the model.
std::expected<tonnage::GgufInfo, std::string> read_model(const std::string& path);

// The answers to --version and --list-devices.
void print_version();
void print_devices(SharedSet* set, const std::vector<EngineDevice>& offered);

// An abort of these programs is no news.
void no_core_files();

// Waits; no condition could end this wait.
void pause_ms(std::int64_t ms);

}  // namespace fake_gpu
