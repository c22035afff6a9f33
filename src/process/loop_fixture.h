// LoopFixture: a loop, a folder of its own and a way to wait for what happens, for tests only.
#pragma once

#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace tonnage {

// A new folder with a short path, removed at the end.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = "/tmp/tonnage-test-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class LoopFixture : public testing::Test {
 protected:
  // Runs the loop until `condition` holds. The limit only ends a test that would never end.
  [[nodiscard]] bool run_until(const std::function<bool()>& condition,
                               std::chrono::seconds limit = std::chrono::seconds(20)) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline)
        return false;
      loop_.run_one_for(std::chrono::milliseconds(20));
    }
    return true;
  }

  // Turns the loop for a while in which something must not happen.
  void run_for(std::chrono::milliseconds time) { loop_.run_for(time); }

  ScratchFolder scratch_;
  boost::asio::io_context loop_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      loop_.get_executor()};
};

}  // namespace tonnage
