// RequestParser and ResponseParser: HTTP/1.1 messages read from one growing buffer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace tonnage::net {

// Why a message is refused, and with which status where it was a request.
struct ParseFailure {
  int status = 400;
  std::string_view why;  // static text
};

// The bytes of a buffer that form a complete head, "\r\n\r\n" included; 0 while it is incomplete.
// `scanned` is where the last search ended; give 0 for a new message.
std::size_t head_length(std::string_view bytes, std::size_t& scanned);

struct BodyProgress {
  std::size_t consumed = 0;  // bytes of the input that were used up
  std::optional<ParseFailure> failure;
};

// Beast's parser for one message at a time; reset() makes it ready for the next. Header-only cost:
// only parser.cc includes Beast. Heads are parsed whole, so that views into them stay valid.
class RequestParser {
 public:
  RequestParser();
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  void reset();
  // `head` is exactly one head. On success the views below and `fields` point into it. Refuses
  // what could be read in two ways: folded lines, two lengths, unknown transfer codings.
  std::optional<ParseFailure> parse_head(std::string_view head, std::size_t fields_max,
                                         std::vector<HeaderView>& fields);
  // Feeds body bytes; appends the payload found, as views into `bytes`, to `pieces`.
  BodyProgress parse_body(std::string_view bytes, std::vector<std::string_view>& pieces);
  bool done() const;

  std::string_view method() const;
  std::string_view target() const;
  bool http_1_0() const;
  bool keep_alive() const;
  bool chunked() const;
  std::optional<std::uint64_t> content_length() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class ResponseParser {
 public:
  ResponseParser();
  ~ResponseParser();
  ResponseParser(const ResponseParser&) = delete;
  ResponseParser& operator=(const ResponseParser&) = delete;

  // `to_head`: the answer to a HEAD request, which has no body whatever its fields say.
  void reset(bool to_head);
  std::optional<ParseFailure> parse_head(std::string_view head, std::size_t fields_max,
                                         std::vector<HeaderView>& fields);
  BodyProgress parse_body(std::string_view bytes, std::vector<std::string_view>& pieces);
  // The server closed its end. False when that cuts the message short.
  bool parse_eof();
  bool done() const;

  int status() const;
  bool keep_alive() const;
  bool chunked() const;
  std::optional<std::uint64_t> content_length() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tonnage::net
