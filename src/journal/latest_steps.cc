#include "journal/latest_steps.h"

#include <algorithm>
#include <utility>

namespace tonnage::journal {
namespace {

// Of the bound, for each block: what goes at once when the oldest goes.
constexpr std::size_t kBlockShare = 32;
constexpr std::size_t kBlockMin = 64;

}  // namespace

LatestSteps::LatestSteps(Bytes bytes_max)
    : bytes_max_(static_cast<std::size_t>(bytes_max.count)),
      block_bytes_(std::max(kBlockMin, bytes_max_ / kBlockShare)) {}

void LatestSteps::append(std::string_view line) {
  if (!open_.empty() && open_.size() + line.size() > block_bytes_)
    close();
  if (open_.empty())
    open_.reserve(std::max(block_bytes_, line.size()));
  open_ += line;
  while (!full_.empty() && bytes() > bytes_max_) {
    full_bytes_ -= full_.front()->size();
    full_.pop_front();
  }
}

void LatestSteps::close() {
  full_bytes_ += open_.size();
  full_.push_back(std::make_shared<const std::string>(std::exchange(open_, {})));
}

std::vector<std::shared_ptr<const std::string>> LatestSteps::blocks() const {
  std::vector<std::shared_ptr<const std::string>> blocks(full_.begin(), full_.end());
  if (!open_.empty())
    blocks.push_back(std::make_shared<const std::string>(open_));
  return blocks;
}

}  // namespace tonnage::journal
