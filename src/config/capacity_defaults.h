// CapacityDefaults: the defaults that depend on how much memory a machine has for models.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "config/config.h"

namespace tonnage {

// What a machine has. Zero where there is none.
struct Capacities {
  Bytes largest_device;  // of the devices with memory of their own
  Bytes unified;         // of the host, where a device shares its memory and none has its own

  friend bool operator==(const Capacities&, const Capacities&) = default;
};

struct CapacityDefault {
  std::string_view path;   // a key
  std::string_view value;  // as a user would write it

  friend bool operator==(const CapacityDefault&, const CapacityDefault&) = default;
};

// One class of machines. What it does not name is as the key's own default says.
struct CapacityClass {
  std::string_view name;  // "8 GB", "unified 18 GB"
  bool unified = false;
  Bytes below;  // machines with less than this, and not less than the class before
  std::vector<CapacityDefault> defaults;
  std::string_view why;  // sentences
};

// All classes, least capacity first, those of unified memory last.
std::span<const CapacityClass> capacity_classes();

// The class of a machine; null without a device.
const CapacityClass* capacity_class(const Capacities& capacities);

// Sets what the class of the machine names, where the user has set nothing. Doing it again changes
// nothing.
void apply_capacity_defaults(Config& config, const Capacities& capacities);

// Markdown: a table of the classes, for the documentation.
std::string capacity_reference();

}  // namespace tonnage
