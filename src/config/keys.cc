// The key table as a whole, and the names of environment variables.
#include "config/key.h"

namespace tonnage {
namespace {

constexpr OtherVariable kOther[] = {
    {"TONNAGE_CONFIG", "The configuration file, where `--config` is not given."},
    {"TONNAGE_URL", "Where the command line finds the daemon, instead of its control socket."},
    {"TONNAGE_API_KEY", "The key that the command line sends to TONNAGE_URL."},
    {"TONNAGE_CACHE_DIR", "Folder of the built engine and the demo models."},
};

std::vector<KeySpec> joined() {
  std::vector<KeySpec> all;
  for (const auto part : {global_keys(), level_keys(), model_keys(), client_keys()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace

KeySpec KeySpec::at_least(std::int64_t least) const {
  KeySpec out = *this;
  out.min = least;
  return out;
}

KeySpec KeySpec::within(std::int64_t least, std::int64_t most) const {
  KeySpec out = at_least(least);
  out.max = most;
  return out;
}

KeySpec KeySpec::one_of(std::span<const std::string_view> names) const {
  KeySpec out = *this;
  out.choices = names;
  return out;
}

KeySpec KeySpec::inherit() const {
  KeySpec out = *this;
  out.inherited = true;
  return out;
}

KeySpec KeySpec::or_as(std::string_view other_path) const {
  KeySpec out = *this;
  out.also = other_path;
  return out;
}

KeySpec KeySpec::founded_as(std::string_view variable) const {
  KeySpec out = *this;
  out.founding = variable;
  return out;
}

std::span<const KeySpec> key_table() {
  static const std::vector<KeySpec> table = joined();
  return table;
}

std::span<const OtherVariable> other_variables() {
  return kOther;
}

std::string environment_name(std::string_view path) {
  std::string name = "TONNAGE_";
  for (const char c : path) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : letter || digit ? c : '_';
  }
  return name;
}

}  // namespace tonnage
