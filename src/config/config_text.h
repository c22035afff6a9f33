// config_of, problems_of: a configuration from YAML text, for tests.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "config/load.h"

namespace tonnage {

inline ConfigInputs inputs_of(std::string yaml) {
  ConfigInputs inputs;
  inputs.file_name = "tonnage.yaml";
  inputs.yaml = std::move(yaml);
  inputs.file_folder = "/etc/tonnage";
  inputs.working_folder = "/here";
  inputs.environment["HOME"] = "/ada";
  inputs.uid = 1000;
  return inputs;
}

inline Config config_of(const ConfigInputs& inputs) {
  auto config = parse_config(inputs);
  if (config)
    return std::move(*config);
  ADD_FAILURE() << config.error().text();
  return {};
}

inline Config config_of(std::string yaml) {
  return config_of(inputs_of(std::move(yaml)));
}

// The whole text of the errors, or "no problem".
inline std::string problems_of(const ConfigInputs& inputs) {
  const auto config = parse_config(inputs);
  return config ? "no problem" : config.error().text();
}

inline std::string problems_of(std::string yaml) {
  return problems_of(inputs_of(std::move(yaml)));
}

// The smallest configuration that is one.
inline constexpr const char* kOneModel = "models: {a: {gguf: a.gguf}}\n";

}  // namespace tonnage
