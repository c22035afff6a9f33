// Arguments: the command line of llama-server and llama-fit-params, as far as it decides anything.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

namespace fake_gpu {

struct Arguments {
  std::string host = "127.0.0.1";  // a path: a unix socket
  std::string model;
  std::string alias;  // without one: the model's path, as the real one does
  std::int64_t context = 4096;
  std::int32_t slots = 1;
  std::int32_t ubatch = 512;
  std::string kv_keys = "f16";
  std::string kv_values = "f16";
  std::optional<std::int64_t> gpu_layers;           // empty: all of them
  std::optional<std::vector<std::string>> devices;  // empty: all that are visible
  std::string split_mode = "layer";
  std::vector<double> tensor_split;  // shares by device; empty: by free memory
  std::size_t main_gpu = 0;
  bool embeddings = false;
  bool reranking = false;
  bool metrics = false;
  std::string slot_save_path;
  bool version = false;
  bool list_devices = false;
};

// An unknown argument is an error, in the words of the real programs.
std::expected<Arguments, std::string> parse_arguments(const std::vector<std::string>& words);

}  // namespace fake_gpu
