// Sources: which value of each key is in force, and where it was written.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/problem.h"

namespace tonnage {

class Sources {
 public:
  // A later record of the same path replaces the earlier one and keeps its place.
  void record(const std::string& path, std::string value, Origin origin);

  // Where the value in force was written; a path that was never recorded has an empty origin.
  Origin origin_of(std::string_view path) const;

  std::vector<Setting> settings() const;

 private:
  struct Entry {
    std::string path;
    std::string value;
    Origin origin;
  };
  std::vector<Entry> entries_;
  std::map<std::string, std::size_t, std::less<>> index_;
};

}  // namespace tonnage
