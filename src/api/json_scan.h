// JsonObjectReader: walks the top-level members of a JSON object in place, checking all of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tonnage::api {

struct JsonFault {
  std::size_t offset = 0;  // of the byte that does not fit
  std::string_view why;    // "a comma or '}' is missing here"
  bool too_deep = false;
};

struct JsonMember {
  std::string_view key;    // as written, between its quotes, escapes not decoded
  std::string_view value;  // as written, without spaces around it
  // Bytes of its texts: of the strings in it that are values. Images and sounds are no texts.
  std::size_t text_bytes = 0;
  bool media = false;  // it holds some
};

// A reader of its own, beside simdjson, because simdjson would need four bytes of index for each
// byte of a body, a padded buffer, and does not count depth in what it skips: a 60 MB body must
// cost neither 240 MB nor a copy. This one needs no memory beyond a bit per level.
//
// Grammar as in RFC 8259; a leading byte order mark is skipped. UTF-8 is checked by the caller.
class JsonObjectReader {
 public:
  static constexpr std::size_t kDepthLimit = 256;

  // The text must outlive the reader and the members. depth_max is at most kDepthLimit.
  explicit JsonObjectReader(std::string_view text, std::size_t depth_max = kDepthLimit);

  // The next member; false at the end of the text or at a fault.
  bool next(JsonMember& member);
  const std::optional<JsonFault>& fault() const { return fault_; }

 private:
  bool seek_key();
  bool stop(const char* at, std::string_view why);

  const char* begin_;
  const char* at_;
  const char* end_;
  std::size_t depth_max_;
  enum class Stage : std::uint8_t { before, members, done } stage_ = Stage::before;
  std::optional<JsonFault> fault_;
};

// The elements of a JSON array that was checked before: one after the other, without the brackets
// around all of them. What was not checked ends it early.
class JsonArrayReader {
 public:
  // `elements`: what stands between the brackets.
  explicit JsonArrayReader(std::string_view elements)
      : at_(elements.data()), end_(elements.data() + elements.size()) {}

  // The next element as written, without spaces around it; false when there is none.
  bool next(std::string_view& element);

 private:
  const char* at_;
  const char* end_;
};

// Decodes a member's key, or a value that begins with a quote (its quotes taken off). Empty when an
// escape is not one, or names half of a surrogate pair.
std::optional<std::string> unescape_json(std::string_view text);

}  // namespace tonnage::api
