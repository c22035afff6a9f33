// read_clients: the list `keys`, with their secrets and the models that they may use.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/load.h"
#include "config/reader.h"

namespace tonnage {

inline constexpr std::size_t kClientKeysMax = 1'000;
inline constexpr std::size_t kClientKeyBytesMin = 8;
inline constexpr std::size_t kClientKeyBytesMax = 512;

// `names` maps every id and alias to the model's index.
void read_clients(KeyReader& reader, const NestedNode& list, const Environment& environment,
                  const std::map<std::string, std::size_t, std::less<>>& names, Config& config);

}  // namespace tonnage
