// How heads change on their way through the proxy, and the names of a relay's ends.
#include <algorithm>

#include "net/relaying.h"
#include "net/stream_head.h"

namespace tonnage::net {

namespace {

// The names in Connection fields are hop-by-hop too; almost always there are none.
class ConnectionNames {
 public:
  explicit ConnectionNames(std::span<const HeaderView> fields) : fields_(fields) {
    for (const HeaderView& field : fields)
      any_ = any_ || names_some(field);
  }
  bool has(std::string_view name) const {
    return any_ && std::any_of(fields_.begin(), fields_.end(), [&](const HeaderView& field) {
             return names_some(field) && list_has(field.value, name);
           });
  }

 private:
  static bool names_some(const HeaderView& field) {
    return field.name.size() == 10 && same_name(field.name, "connection") &&
           !same_name(field.value, "keep-alive") && !same_name(field.value, "close");
  }

  std::span<const HeaderView> fields_;
  bool any_ = false;
};

// Which pages may read an answer is the word of whoever gives it to the client, not the server's.
bool is_for_pages(std::string_view name) {
  constexpr std::string_view kPrefix = "access-control-";
  return name.size() > kPrefix.size() && same_name(name.substr(0, kPrefix.size()), kPrefix);
}

// llama-server answers 400 without a word to a longer field and to more fields than a hundred. The
// long ones are tokens and cookies that proxies add, and nothing that a model server reads.
constexpr std::size_t kServerFieldBytesMax = 4096;
constexpr std::size_t kServerFieldsMax = 64;

// What a server has to see, however many other fields a client sends.
bool is_about_body(std::string_view name) {
  return same_name(name, "content-type") || same_name(name, "accept");
}

bool is_among(std::string_view name, const std::vector<Header>& headers) {
  return std::any_of(headers.begin(), headers.end(),
                     [&](const Header& header) { return same_name(header.name, name); });
}

bool is_among(std::string_view name, const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& other) { return same_name(other, name); });
}

}  // namespace

std::string upstream_request_head(const Exchange& exchange, const RelayTarget& target,
                                  const Body& body) {
  const auto fields = exchange.headers();
  const ConnectionNames named(fields);

  std::string head;
  head.reserve(1024);
  head.append(exchange.method()).append(" ");
  append_target(head, target.target.empty() ? std::string_view("/") : target.target);
  head.append(" HTTP/1.1\r\nhost: ");
  head.append(target.upstream.is_unix() ? "localhost" : to_text(target.upstream)).append("\r\n");
  bool had_body = !body.empty() || target.body != nullptr;
  std::size_t sent = 0;
  for (const HeaderView& field : fields) {
    if (is_hop_by_hop(field.name)) {
      had_body = had_body || same_name(field.name, "content-length") ||
                 same_name(field.name, "transfer-encoding");
      continue;
    }
    if (named.has(field.name))
      continue;
    if (is_among(field.name, target.drop_request_headers))
      continue;
    if (is_among(field.name, target.request_headers))
      continue;
    if (field.name.size() + field.value.size() > kServerFieldBytesMax)
      continue;
    if (++sent > kServerFieldsMax && !is_about_body(field.name))
      continue;
    head.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  for (const Header& header : target.request_headers) {
    if (!is_hop_by_hop(header.name))
      append_field(head, header.name, header.value);
  }
  if (had_body)
    head.append("content-length: ").append(std::to_string(body.size())).append("\r\n");
  head.append("\r\n");
  return head;
}

void append_relayed_fields(std::string& head, const std::vector<HeaderView>& fields,
                           const std::vector<Header>& added, bool stream) {
  const ConnectionNames named(fields);
  for (const HeaderView& field : fields) {
    if (is_hop_by_hop(field.name) || is_own_field(field.name, stream) || is_for_pages(field.name))
      continue;
    if (named.has(field.name))
      continue;
    if (is_among(field.name, added))
      continue;
    head.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  for (const Header& header : added) {
    if (!is_hop_by_hop(header.name))
      append_field(head, header.name, header.value);
  }
  if (stream)
    append_stream_fields(head);
}

std::vector<Header> held_fields(const std::vector<HeaderView>& fields) {
  const ConnectionNames named(fields);
  std::vector<Header> kept;
  for (const HeaderView& field : fields) {
    if (!is_hop_by_hop(field.name) && !is_own_field(field.name, false) &&
        !is_for_pages(field.name) && !named.has(field.name)) {
      kept.push_back({std::string(field.name), std::string(field.value)});
    }
  }
  return kept;
}

std::string_view to_text(RelayResult::End end) {
  switch (end) {
    case RelayResult::End::complete:
      return "complete";
    case RelayResult::End::held:
      return "held";
    case RelayResult::End::client_gone:
      return "client_gone";
    case RelayResult::End::connect_failed:
      return "connect_failed";
    case RelayResult::End::lost_before_body:
      return "lost_before_body";
    case RelayResult::End::timed_out_before_body:
      return "timed_out_before_body";
    case RelayResult::End::broken_midstream:
      return "broken_midstream";
    case RelayResult::End::timed_out_midstream:
      return "timed_out_midstream";
  }
  return "unknown";
}

}  // namespace tonnage::net
