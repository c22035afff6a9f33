// Golden scenarios: event lines in, action lines out, readable as documentation of the rules.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tonnage::sim {

// Plays a scenario against a fresh governor and returns its text with the output lines that the
// governor gives now: equal to the text that went in when nothing changed. Input lines begin in the
// first column, output lines are indented. Everything that the referee finds wrong appears as a
// line that says BROKEN. docs/HACKING.md lists the lines; in short:
//
//   pool 4GiB reserve 0B limit 3GiB
//   device gpu0 8GiB reserve 800MiB                        a pool beside the host
//   pressure balanced | pressure fallback A
//   model A weights 1GiB anon 200MiB context 4096 slots 2 file 7 pinned heavy ttl 10s
//   model B weights 2GiB draft 1GiB draft_file 7           with a draft, which A maps as its model
//   row A anon 100MiB context 2048 slots 1 speed 600       a lesser placement of A
//   row A layers 32 gpu 5GiB | row A layers 32 gpu 3GiB,2GiB
//   set yield_after 30s                                    any rule by its name in the policy
//   at 0s foreign 1GiB | gpu0 foreign 1GiB orphaned 0B     what a probe sees
//   at 0s stalls some 300 full 50 | lost gpu0 words...
//   at 0s A is ready | A is used                           loaded, or used for a moment, in silence
//   at 1s request r1 for A context 8192 slots 2 priority high
//   at 2s ready g1 | exit g1 crashed words... | hang g1 | measured g1 300MiB gpu0 4GiB
//   at 2s short g1 out_of_device_memory words...           it answered that it has no memory left
//   at 3s end r1 lost | gone r1 | command c1 unload A | shutdown | wait | state
//   at 4s reload set yield_after 10s, limit 3GiB, model A removed, changed B
//   at 4s learned A 300MiB                                 new rows, unasked, with memory per row
//
// `set profiles_by_hand` and `set timers_by_hand` are for what was found by a simulation: there
// "profiled A" or "unprofiled A words..." ends a dry run, and "timer" is a Timer event.
//
// Dry runs answer at once with the rows of the model. Timers fire exactly when they are due, up to
// the time of the next line; what they cause is printed with its time.
Result<std::string> play_scenario(std::string_view text);

}  // namespace tonnage::sim
