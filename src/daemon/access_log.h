// access_line(): one answered request as a line of the log.
#pragma once

#include <chrono>
#include <string>

#include "config/config.h"
#include "net/refusal.h"

namespace tonnage {

inline std::chrono::system_clock::time_point system_now() {
  return std::chrono::system_clock::now();
}

// `form` is line or json. Nothing of a request but its method, path, key name and sizes; a client
// that left before its answer has the status 499. Times in `at` are UTC.
std::string access_line(const net::AnswerRecord& record, AccessLog form,
                        std::chrono::system_clock::time_point at);

}  // namespace tonnage
