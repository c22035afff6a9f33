// read_token_counts(): how many tokens an answer took, from what its server says at its end.
#pragma once

#include <cstdint>
#include <string_view>

namespace tonnage {

struct TokenCounts {
  std::uint64_t prompt = 0;  // all of the prompt
  std::uint64_t kept = 0;    // of these, from an earlier request's state
  std::uint64_t generated = 0;

  friend bool operator==(const TokenCounts&, const TokenCounts&) = default;
};

// `head` and `tail` are the first and the last bytes of an answer's body, in any of the dialects,
// whole or as a stream; they may overlap. Runs on the loop for every answer, so it costs less than
// a microsecond. What is not there is zero; a text that speaks of tokens in quotes is escaped in
// JSON and not mistaken for a count.
TokenCounts read_token_counts(std::string_view head, std::string_view tail);

}  // namespace tonnage
