// Recorder: the flight recorder. Keeps the latest steps in memory and hands out what belongs on
// disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "journal/codec.h"
#include "journal/latest_steps.h"

namespace tonnage::journal {

struct RecorderLimits {
  Bytes memory_max = 4_MiB;   // of the latest steps that stay in memory
  Bytes segment_max = 8_MiB;  // a segment that grew to this is followed by the next one
  Bytes pending_max = 8_MiB;  // not yet taken; beyond this steps are lost for the disk
};

// What is to be appended to the file of one segment. `begins`: it is the segment's first part.
struct Chunk {
  std::uint64_t segment = 1;
  bool begins = false;
  std::string text;
};

// Every step goes through record(). When needs_segment() says so, begin_segment() comes first, with
// the state that the step will find. One thread; no files.
class Recorder {
 public:
  struct Identity {
    std::string program;
    std::string run;
    std::int64_t unix_us_at_zero = 0;
  };

  Recorder(Identity identity, RecorderLimits limits);

  bool needs_segment() const { return needs_segment_; }
  void begin_segment(const GovernorState& state);
  void record(Tick at, const Event& event, const Actions& actions);

  // What was recorded for the disk since the last call.
  std::vector<Chunk> take();
  bool has_pending() const { return pending_bytes_ > 0; }

  // The disk did not take what it was given: the next step begins a segment that says so.
  void lost();

  // From the next step on, Tick zero is another time of day: it begins a segment that says so.
  void clock_moved(std::int64_t unix_us_at_zero);

  const LatestSteps& latest() const { return latest_; }
  const Identity& identity() const { return identity_; }
  std::uint64_t steps() const { return next_step_ - 1; }

 private:
  void append(std::string_view line);

  Identity identity_;
  RecorderLimits limits_;
  LatestSteps latest_;
  std::string line_;  // the one that is being written; keeps its memory
  std::vector<Chunk> pending_;
  std::size_t pending_bytes_ = 0;
  std::uint64_t segment_ = 0;
  std::size_t segment_bytes_ = 0;
  std::uint64_t next_step_ = 1;
  bool needs_segment_ = true;
  bool gap_ = false;
};

}  // namespace tonnage::journal
