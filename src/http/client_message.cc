#include "http/client_message.h"

#include <algorithm>

#include "base/text.h"

namespace tonnage::net {

namespace {
constexpr std::size_t kReplyFieldsMax = 200;
}  // namespace

std::string client_request_text(const ClientRequest& request) {
  std::string text = request.method + " ";
  append_target(text, request.target);
  text.append(" HTTP/1.1\r\nconnection: close\r\n");
  const bool has_host = std::any_of(request.headers.begin(), request.headers.end(),
                                    [](const Header& h) { return same_name(h.name, "host"); });
  if (!has_host) {
    append_field(text, "host", request.address.is_unix() ? "localhost" : to_text(request.address));
  }
  for (const Header& field : request.headers) {
    if (!is_hop_by_hop(field.name) || same_name(field.name, "host")) {
      append_field(text, field.name, field.value);
    }
  }
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    append_field(text, "content-length", std::to_string(request.body.size()));
  }
  return text + "\r\n";
}

std::unexpected<Error> bad_reply(const ClientRequest& request, std::string_view why) {
  return fail("cannot use the reply of", to_text(request.address), std::string(why));
}

Result<bool> take_reply_head(ResponseParser& parser, std::string_view head,
                             const ClientRequest& request, std::vector<HeaderView>& fields,
                             Reply& reply) {
  if (const auto failure = parser.parse_head(head, kReplyFieldsMax, fields)) {
    return bad_reply(request, failure->why);
  }
  if (parser.status() / 100 == 1) {
    if (parser.status() == 101)
      return bad_reply(request, "it changes the protocol");
    parser.reset(request.method == "HEAD");
    return true;
  }
  reply.status = parser.status();
  for (const HeaderView& field : fields) {
    reply.headers.push_back({to_lower(field.name), std::string(field.value)});
  }
  return false;
}

}  // namespace tonnage::net
