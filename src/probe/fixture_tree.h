// FixtureTree: a folder that looks like the /proc and /sys of some machine, for tests.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/check.h"

namespace tonnage {

// Makes an empty folder and removes it with everything in it at the end.
class FixtureTree {
 public:
  FixtureTree() {
    std::string name = (std::filesystem::temp_directory_path() / "tonnage-probe-XXXXXX").string();
    TONNAGE_CHECK(::mkdtemp(name.data()) != nullptr, "a test needs a writable temporary folder");
    root_ = name;
  }
  ~FixtureTree() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  FixtureTree(const FixtureTree&) = delete;
  FixtureTree& operator=(const FixtureTree&) = delete;

  // `path` is absolute, as on the machine that the tree stands for.
  FixtureTree& file(std::string_view path, std::string_view text) {
    const std::filesystem::path full = root_ + std::string(path);
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full, std::ios::binary) << text;
    return *this;
  }
  void remove(std::string_view path) { std::filesystem::remove_all(root_ + std::string(path)); }

  const std::string& root() const { return root_; }
  std::string path(std::string_view path) const { return root_ + std::string(path); }

 private:
  std::string root_;
};

}  // namespace tonnage
