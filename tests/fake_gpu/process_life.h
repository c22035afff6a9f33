// process_started() and process_lives(): whether a process is still the one that it was.
#pragma once

#include <cstdint>
#include <optional>

namespace fake_gpu {

// In clock ticks since the machine's start, as /proc has it; empty when there is no such process
// or when it has ended and only waits for its parent.
std::optional<std::uint64_t> process_started(std::int32_t pid);

// A number that went to another process since does not count.
bool process_lives(std::int32_t pid, std::uint64_t started);

}  // namespace fake_gpu
