// read_body(): which model a request asks for, and how, read without copying the body.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/errors.h"

namespace tonnage::api {

// A prompt beyond this many nested arrays and objects is refused at the door: it can only be meant
// to exhaust a parser's stack further down.
inline constexpr std::int32_t kJsonDepthMax = 256;
// A model name beyond this is refused; it comes back in error texts and logs.
inline constexpr std::size_t kModelNameBytesMax = 512;
// A form with more parts, or a part with longer headers, is refused.
inline constexpr std::int32_t kFormPartsMax = 128;
inline constexpr std::size_t kFormPartHeaderBytesMax = 8 * 1024;

struct BodyFacts {
  std::string model;  // as the client wrote it: an id, an alias, "resident"
  bool stream = false;
  // max_tokens, max_completion_tokens, max_output_tokens or n_predict; empty: not said, or not a
  // non-negative integer.
  std::optional<std::int64_t> max_tokens;
  // Tokens of context that the request surely needs: of a prompt that is given as tokens; 0 where
  // finding out would cost a tokenizer.
  std::int32_t context_needed = 0;
  // Bytes of text that have to fit into one context: messages, system prompt, tools; of several
  // texts the longest. Images and sounds count as nothing.
  std::size_t prompt_bytes = 0;
  bool media = false;  // there are some
  // `n`: answers that are asked for at once; empty: not said, or not a non-negative integer.
  std::optional<std::int64_t> choices;
  // Texts in `input`, `prompt` or `documents`: a list of token numbers is one text.
  std::int64_t texts = 1;
  // Where in the body `input` lies, where it is a list of texts or of token lists.
  std::size_t input_at = 0;
  std::size_t input_bytes = 0;

  friend bool operator==(const BodyFacts&, const BodyFacts&) = default;
};

// Reads a JSON or multipart/form-data body. An empty or unknown content type is read as JSON,
// because many clients send none or a wrong one.
//
// The body is read in place in one pass: nothing is copied but the model's name, memory use is
// constant, and no byte past the end is touched, so the buffer needs no padding. JSON is checked
// completely (grammar, UTF-8, depth), so that what passes here is not refused for its form by a
// server. Of a repeated key the last one counts, as in the servers' own parsers.
//
// Cost: under 1 us for 1 KB; 0.3 ms per MB of text, 5 ms per MB of brackets or escapes. Call it off
// the loop above 1 MiB.
// Errors have status 400 and name the field (`param`) or the byte offset in the body.
ApiResult<BodyFacts> read_body(std::string_view content_type, std::string_view body);

}  // namespace tonnage::api
