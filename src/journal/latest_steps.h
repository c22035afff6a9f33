// LatestSteps: the last lines of a journal in memory, in blocks that others may read.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace tonnage::journal {

// Lines are appended to one block; a full block never changes again, so that a reader on another
// thread shares it and copies nothing. One thread appends.
class LatestSteps {
 public:
  explicit LatestSteps(Bytes bytes_max);

  // `line` ends with a newline. The oldest blocks go when all together exceed the bound.
  void append(std::string_view line);

  // Oldest first. A copy of the block that is being written (a 32nd of the bound), and
  // the others themselves.
  std::vector<std::shared_ptr<const std::string>> blocks() const;
  std::size_t bytes() const { return full_bytes_ + open_.size(); }

 private:
  void close();

  std::size_t bytes_max_;
  std::size_t block_bytes_;
  std::deque<std::shared_ptr<const std::string>> full_;
  std::size_t full_bytes_ = 0;
  std::string open_;
};

}  // namespace tonnage::journal
