// The journal's lines: one header per segment, then one line per step of the core.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/actions.h"
#include "core/events.h"
#include "core/state.h"

namespace tonnage::journal {

// Raised when a line means something else than before. Other versions are refused.
inline constexpr int kVersion = 1;

// The first line of a segment: everything that is needed to replay the rest of it.
struct SegmentHeader {
  std::string program;               // version of the tonnage that wrote it
  std::string run;                   // names one run of the daemon
  std::uint64_t segment = 1;         // of the run, from 1
  std::uint64_t first_step = 1;      // the number that the first step has
  std::int64_t unix_us_at_zero = 0;  // wall-clock time of Tick zero
  bool gap = false;  // steps before this segment were lost, because the disk did not keep up
  GovernorState state;

  friend bool operator==(const SegmentHeader&, const SegmentHeader&) = default;
};

// One event and what the core wanted done about it.
struct Step {
  std::uint64_t number = 0;  // from 1, without gaps within a run
  Tick at;
  Event event;
  Actions actions;

  friend bool operator==(const Step&, const Step&) = default;
};

// Each appends one line with its end. Text that is not UTF-8 is written with U+FFFD in its place.
void encode(const SegmentHeader& header, std::string& out);
void encode_step(std::uint64_t number, Tick at, const Event& event, const Actions& actions,
                 std::string& out);

void encode(const Action& action, std::string& out);

// Each takes one line, with or without its end. Errors say what is wrong with it.
Result<SegmentHeader> decode_header(std::string_view line);
Result<Step> decode_step(std::string_view line);

// The name of an event or an action in the journal: "request_arrived".
std::string_view type_of(const Event& event);
std::string_view type_of(const Action& action);

}  // namespace tonnage::journal
