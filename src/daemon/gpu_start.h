// start_gpus: the look at GPUs and engine that the daemon begins with.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "config/load.h"
#include "daemon/device_pools.h"
#include "engine/llama/llama.h"
#include "engine/llama/llama_offer.h"
#include "probe/gpu/device_probe.h"

namespace tonnage {

struct GpuStart {
  DevicePools pools;
  DeviceSurvey survey;                 // that the pools were made from
  std::shared_ptr<DeviceProbe> probe;  // null: GPUs are left alone
};

// What every program of the engine is given. From the daemon's own environment come only where
// libraries are found and which GPUs a user wants seen.
std::vector<std::string> engine_environment(const Config& config, const Environment& environment);

// The GPUs that a user lets CUDA programs see: `visible` is CUDA_VISIBLE_DEVICES, with UUIDs, the
// beginnings of UUIDs, or numbers, which count in the order of PCI addresses here. As in CUDA, what
// comes after a wrong entry is not seen.
DeviceSurvey seen_devices(DeviceSurvey survey, const std::string& visible);

// Why a machine's GPUs cannot be used by this engine, with the remedy; empty where they can, and
// where there is none worth having: one that shares the host's memory and has no CUDA is slower
// with another engine as often as not.
std::string unusable_gpus(const DeviceSurvey& survey,
                          const Result<std::vector<LlamaDevice>>& engine_devices);

// The llama-server to use. Where all models have servers of the user's own none is needed: then
// `programs` may be empty, and a note says so.
Result<LlamaChoice> choose_engine(const Config& config, const Environment& environment,
                                  const std::vector<std::string>& engine_env);

// Asks the probe and, where it finds a GPU, the engine. Blocks for up to seconds. An error where
// there is a GPU and the engine cannot use any. With `cpu` in the
// configuration, or without an engine, nobody is asked.
Result<GpuStart> start_gpus(const Config& config, const LlamaPrograms& programs,
                            const std::vector<std::string>& env, const Environment& environment);

}  // namespace tonnage
