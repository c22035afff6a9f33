// PressureReader: the pressure levels of a configuration, from a preset, from a list, or from both.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/key.h"
#include "config/reader.h"

namespace tonnage {

inline constexpr std::size_t kPressureLevelsMax = 16;
inline constexpr std::size_t kPressureActionsMax = 16;

// What is left out of a level that has `above`: it is left this far below it.
inline constexpr std::int64_t kLevelGapPermille = 30;

// A level while it is being read. What is empty is that of the preset's level, or the default.
struct LevelDraft {
  std::string place;  // "pressure.levels[2]", for messages
  Origin where;
  std::optional<std::string> name;
  std::optional<PressureBasis> basis;
  std::optional<std::int64_t> above_permille;
  std::optional<std::int64_t> below_permille;
  std::optional<Duration> dwell;
  std::optional<std::int64_t> stall_some_permille;
  std::optional<std::int64_t> stall_full_permille;
  std::optional<std::vector<std::string>> pools;
  std::optional<std::vector<PressureStep>> steps;
};

// The section while it is being read.
struct PressureDraft {
  std::string preset;
  std::vector<LevelDraft> levels;
  // Empty inside: the preset's models do not come back by themselves.
  std::optional<std::optional<std::int64_t>> restore_below_permille;
  std::string fallback;  // a model's id or alias
  std::optional<Duration> park_idle_after;
};

class PressureReader {
 public:
  // Both must outlive the reader. `draft` is what the keys are stored into.
  PressureReader(KeyReader& reader, PressureDraft& draft) : reader_(reader), draft_(draft) {}

  // The list of levels in a file. A preset that the environment or a flag names drops it again.
  void read_levels(const NestedNode& list);

  // The policy, once everything is read. `names` maps every id and alias to its model's index.
  void finish(const std::map<std::string, std::size_t, std::less<>>& names, Config& config);

 private:
  void read_actions(const NestedNode& list, LevelDraft& draft);
  std::optional<PressureStep> read_action(const Node& item, const std::string& name,
                                          const Origin& where);
  void override_preset(PressurePolicy& policy);
  void define_levels(PressurePolicy& policy);
  void check_level(const PressureLevel& level, const LevelDraft& draft);
  void check_order(const PressurePolicy& policy);
  void park_sooner(PressurePolicy& policy);
  void name_fallback(const std::map<std::string, std::size_t, std::less<>>& names, Config& config);

  // At the key of a level, else at the level.
  void problem(const LevelDraft& draft, const char* key, const std::string& text);

  KeyReader& reader_;
  PressureDraft& draft_;
  std::vector<std::string> warnings_;
};

// The names of PressureStepKind, as they stand in `actions`.
std::vector<std::string> pressure_action_names();
std::optional<PressureStepKind> pressure_action(std::string_view name);

// What a number after an action's name means.
enum class ActionNumber : std::uint8_t { none, idle_time, wait, share };
ActionNumber action_number(PressureStepKind kind);

// `park: false`: what would park unloads.
void unload_instead_of_parking(PressurePolicy& policy);

}  // namespace tonnage
