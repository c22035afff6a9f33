// failure_catalogue: the words that model servers, their libraries and the kernel use when they
// fail, as data.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace tonnage {

// What words mean. The last five mean something in an HTTP answer only.
enum class FailureMeaning : std::uint8_t {
  harmless,       // a line that holds words of a failure and is none
  overcome,       // another attempt: what was said before it is not why the server ended
  device_memory,  // of a GPU
  host_memory,    // of the host, or of a pool that the words do not name
  buffer,         // of the one whose buffer type the `*` of the pattern stands for
  exited,         // gone wrong in a way that may pass by itself
  gpu_fault,      // the GPU, its driver or the program on it broke
  bad_setup,
  bad_model,
  compute_error,  // memory, unless the server's own words say otherwise
  loading,        // not ready yet
  busy,           // full; the same request may be sent again later
  client_error,   // no server would serve this request as it is
  server_gone,    // what the answering program stands in front of has ended
};

struct FailureRow {
  FailureMeaning meaning;
  // A substring of a line, lower case. One `*` may stand for a word, one `..` for anything.
  std::string_view pattern;
  std::string_view programs;  // that say it
  std::string_view source;    // the file, message or manual that it was taken from
  std::string_view remedy;    // for people; empty where the words say it all
};

// In order of weight: the first row that matches any line decides. What is wrong comes before what
// follows from it: memory, then set-up, then the file, then the GPU, then "failed to load".
std::span<const FailureRow> failure_catalogue();

}  // namespace tonnage
