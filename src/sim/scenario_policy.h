// The part of a scenario that comes before its events: pool, models, rows and rules.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/policy.h"
#include "core/types.h"

namespace vramd::sim {

// A line, split at spaces.
using Words = std::vector<std::string>;

Words split_words(std::string_view line);

struct ScenarioSetting {
  Policy policy;
  Bytes capacity;
  std::vector<std::vector<PlacementRow>> rows;  // index is ModelId

  Result<ModelId> find_model(const std::string& name) const;
};

// Takes a line that begins with pool, model, row or set. Defaults are chosen so that a scenario
// only has to say what it is about: no reserve, no margins, no failures.
Result<void> take_setting(ScenarioSetting& setting, const Words& words);

ScenarioSetting default_setting();

Result<std::int64_t> parse_integer(const std::string& word);
Result<Priority> parse_priority(const std::string& word);

}  // namespace vramd::sim
