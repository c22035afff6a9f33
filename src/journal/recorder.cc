#include "journal/recorder.h"

#include <utility>

namespace tonnage::journal {
namespace {

std::size_t size_of(Bytes bytes) {
  return static_cast<std::size_t>(bytes.count);
}

}  // namespace

Recorder::Recorder(Identity identity, RecorderLimits limits)
    : identity_(std::move(identity)), limits_(limits), latest_(limits.memory_max) {}

void Recorder::begin_segment(const GovernorState& state) {
  SegmentHeader header;
  header.program = identity_.program;
  header.run = identity_.run;
  header.segment = ++segment_;
  header.first_step = next_step_;
  header.unix_us_at_zero = identity_.unix_us_at_zero;
  header.gap = std::exchange(gap_, false);
  header.state = state;
  pending_.push_back({segment_, true, {}});
  std::string line;
  encode(header, line);
  needs_segment_ = false;
  append(line);
  // However large a state is, a segment has steps.
  segment_bytes_ = 0;
}

void Recorder::record(Tick at, const Event& event, const Actions& actions) {
  line_.clear();
  encode_step(next_step_++, at, event, actions, line_);
  if (!needs_segment_) {
    append(line_);
    if (segment_bytes_ >= size_of(limits_.segment_max))
      needs_segment_ = true;
  }
  latest_.append(line_);
}

void Recorder::clock_moved(std::int64_t unix_us_at_zero) {
  identity_.unix_us_at_zero = unix_us_at_zero;
  needs_segment_ = true;
}

void Recorder::append(std::string_view line) {
  if (pending_bytes_ + line.size() > size_of(limits_.pending_max))
    return lost();
  if (pending_.empty())
    pending_.push_back({segment_, false, {}});
  pending_.back().text += line;
  pending_bytes_ += line.size();
  segment_bytes_ += line.size();
}

std::vector<Chunk> Recorder::take() {
  pending_bytes_ = 0;
  return std::exchange(pending_, {});
}

void Recorder::lost() {
  pending_.clear();
  pending_bytes_ = 0;
  needs_segment_ = true;
  gap_ = true;
}

}  // namespace tonnage::journal
