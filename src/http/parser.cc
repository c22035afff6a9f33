#include "http/parser.h"

#include <cstring>

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

namespace tonnage::net {

namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using BeastView = boost::beast::string_view;

std::string_view to_std(BeastView text) {
  return {text.data(), text.size()};
}

// Collects what one message says. Trailer fields arrive through the same callback as header fields
// and are dropped: nobody here uses them, and relayed as headers they would be an injection.
template <bool kRequest>
class Collector : public http::basic_parser<kRequest> {
 public:
  Collector() {
    this->eager(true);
    this->body_limit(boost::none);   // bounded by the caller, who knows what to answer
    this->header_limit(UINT32_MAX);  // likewise
  }

  std::vector<HeaderView>* fields = nullptr;
  std::vector<std::string_view>* pieces = nullptr;
  std::string_view head;
  std::size_t fields_max = 0;
  std::string_view method;
  std::string_view target;
  std::string_view refusal;
  int refusal_status = 400;
  int status = 0;
  bool http_1_0 = false;
  unsigned lengths = 0;
  unsigned codings = 0;

  void refuse(int with, std::string_view why, error_code& ec) {
    refusal_status = with;
    refusal = why;
    ec = http::error::bad_value;
  }

 private:
  void on_request_impl(http::verb, BeastView verb, BeastView where, int version,
                       error_code&) override {
    method = to_std(verb);
    target = to_std(where);
    http_1_0 = version == 10;
  }

  void on_response_impl(int code, BeastView, int version, error_code&) override {
    status = code;
    http_1_0 = version == 10;
  }

  void on_field_impl(http::field name, BeastView name_text, BeastView value,
                     error_code& ec) override {
    if (fields == nullptr)
      return;
    // Beast joins a folded line in a buffer of its own.
    const bool inside = value.empty() || (value.data() >= head.data() &&
                                          value.data() + value.size() <= head.data() + head.size());
    if (!inside)
      return refuse(400, "a header field is folded over several lines", ec);
    if (fields->size() >= fields_max)
      return refuse(431, "too many header fields", ec);
    if (name == http::field::content_length)
      ++lengths;
    if (name == http::field::transfer_encoding) {
      ++codings;
      if (!same_name(to_std(value), "chunked")) {
        return refuse(501, "only the transfer coding \"chunked\" is supported", ec);
      }
    }
    fields->push_back({to_std(name_text), to_std(value)});
  }

  void on_header_impl(error_code& ec) override {
    if (codings > 1 || (codings > 0 && lengths > 0)) {
      refuse(400, "the length of the body is given in more than one way", ec);
    } else if (codings > 0 && http_1_0) {
      refuse(400, "HTTP/1.0 has no transfer codings", ec);
    }
  }

  void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code&) override {}

  std::size_t on_body_impl(BeastView body, error_code&) override {
    if (!body.empty())
      pieces->push_back(to_std(body));
    return body.size();
  }

  void on_chunk_header_impl(std::uint64_t, BeastView, error_code&) override {}

  std::size_t on_chunk_body_impl(std::uint64_t, BeastView body, error_code&) override {
    if (!body.empty())
      pieces->push_back(to_std(body));
    return body.size();
  }

  void on_finish_impl(error_code&) override {}
};

std::string_view explain(const error_code& ec) {
  if (ec == http::error::bad_method)
    return "the method is malformed";
  if (ec == http::error::bad_target)
    return "the request target is malformed";
  if (ec == http::error::bad_version)
    return "this is not HTTP/1.0 or HTTP/1.1";
  if (ec == http::error::bad_status)
    return "the status is malformed";
  if (ec == http::error::bad_reason)
    return "the reason phrase is malformed";
  if (ec == http::error::bad_field)
    return "a header field name is malformed";
  if (ec == http::error::bad_value)
    return "a header field value is malformed";
  if (ec == http::error::bad_content_length)
    return "Content-Length is malformed or contradicted";
  if (ec == http::error::multiple_content_length)
    return "Content-Length is given twice";
  if (ec == http::error::bad_transfer_encoding) {
    return "Transfer-Encoding is malformed or contradicted";
  }
  if (ec == http::error::bad_chunk)
    return "a chunk is malformed";
  if (ec == http::error::bad_chunk_extension)
    return "a chunk extension is malformed";
  if (ec == http::error::partial_message)
    return "the message was cut short";
  return "the message is not HTTP/1.1";
}

template <bool kRequest>
std::optional<ParseFailure> head_of(Collector<kRequest>& parser, std::string_view head,
                                    std::size_t fields_max, std::vector<HeaderView>& fields) {
  parser.head = head;
  parser.fields_max = fields_max;
  parser.fields = &fields;
  fields.clear();
  error_code ec;
  const std::size_t used = parser.put(boost::asio::buffer(head.data(), head.size()), ec);
  parser.fields = nullptr;
  if (!parser.refusal.empty())
    return ParseFailure{parser.refusal_status, parser.refusal};
  if (ec && ec != http::error::need_more)
    return ParseFailure{400, explain(ec)};
  // Beast and head_length() must agree on where the head ends, or bytes would change their meaning.
  if (!parser.is_header_done() || used != head.size()) {
    return ParseFailure{400, "the head of the message is malformed"};
  }
  return std::nullopt;
}

template <bool kRequest>
BodyProgress body_of(Collector<kRequest>& parser, std::string_view bytes,
                     std::vector<std::string_view>& pieces) {
  BodyProgress progress;
  parser.pieces = &pieces;
  error_code ec;
  // put() stops at each chunk boundary that lies at the end of its input, so go on by hand.
  while (progress.consumed < bytes.size() && !parser.is_done()) {
    const std::size_t used = parser.put(
        boost::asio::buffer(bytes.data() + progress.consumed, bytes.size() - progress.consumed),
        ec);
    progress.consumed += used;
    if (ec == http::error::need_more)
      break;
    if (ec) {
      progress.failure = ParseFailure{400, explain(ec)};
      break;
    }
  }
  parser.pieces = nullptr;
  return progress;
}

template <bool kRequest>
std::optional<std::uint64_t> length_of(const Collector<kRequest>& parser) {
  const auto length = parser.content_length();
  if (!length)
    return std::nullopt;
  return *length;
}

}  // namespace

std::size_t head_length(std::string_view bytes, std::size_t& scanned) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  const std::size_t from = scanned > 3 ? scanned - 3 : 0;
  if (bytes.size() < from + kEnd.size())
    return 0;
  const void* found = ::memmem(bytes.data() + from, bytes.size() - from, kEnd.data(), kEnd.size());
  scanned = bytes.size();
  if (found == nullptr)
    return 0;
  return static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data()) + kEnd.size();
}

struct RequestParser::Impl {
  std::optional<Collector<true>> parser{std::in_place};
};

RequestParser::RequestParser() : impl_(std::make_unique<Impl>()) {}
RequestParser::~RequestParser() = default;

void RequestParser::reset() {
  impl_->parser.emplace();
}

std::optional<ParseFailure> RequestParser::parse_head(std::string_view head, std::size_t fields_max,
                                                      std::vector<HeaderView>& fields) {
  return head_of(*impl_->parser, head, fields_max, fields);
}

BodyProgress RequestParser::parse_body(std::string_view bytes,
                                       std::vector<std::string_view>& pieces) {
  return body_of(*impl_->parser, bytes, pieces);
}

bool RequestParser::done() const {
  return impl_->parser->is_done();
}
std::string_view RequestParser::method() const {
  return impl_->parser->method;
}
std::string_view RequestParser::target() const {
  return impl_->parser->target;
}
bool RequestParser::http_1_0() const {
  return impl_->parser->http_1_0;
}
bool RequestParser::keep_alive() const {
  return impl_->parser->keep_alive();
}
bool RequestParser::chunked() const {
  return impl_->parser->chunked();
}
std::optional<std::uint64_t> RequestParser::content_length() const {
  return length_of(*impl_->parser);
}

struct ResponseParser::Impl {
  std::optional<Collector<false>> parser{std::in_place};
};

ResponseParser::ResponseParser() : impl_(std::make_unique<Impl>()) {}
ResponseParser::~ResponseParser() = default;

void ResponseParser::reset(bool to_head) {
  impl_->parser.emplace();
  impl_->parser->skip(to_head);
}

std::optional<ParseFailure> ResponseParser::parse_head(std::string_view head,
                                                       std::size_t fields_max,
                                                       std::vector<HeaderView>& fields) {
  return head_of(*impl_->parser, head, fields_max, fields);
}

BodyProgress ResponseParser::parse_body(std::string_view bytes,
                                        std::vector<std::string_view>& pieces) {
  return body_of(*impl_->parser, bytes, pieces);
}

bool ResponseParser::parse_eof() {
  if (!impl_->parser->is_header_done())
    return false;
  if (impl_->parser->is_done())
    return true;
  error_code ec;
  impl_->parser->put_eof(ec);
  return !ec && impl_->parser->is_done();
}

bool ResponseParser::done() const {
  return impl_->parser->is_done();
}
int ResponseParser::status() const {
  return impl_->parser->status;
}
bool ResponseParser::keep_alive() const {
  return impl_->parser->keep_alive();
}
bool ResponseParser::chunked() const {
  return impl_->parser->chunked();
}
std::optional<std::uint64_t> ResponseParser::content_length() const {
  return length_of(*impl_->parser);
}

}  // namespace tonnage::net
