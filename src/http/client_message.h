// What both clients share: the text of a request and the head of a reply.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/client.h"
#include "http/parser.h"

namespace tonnage::net {

// Head of the request, for a connection that is used once; the body follows it.
std::string client_request_text(const ClientRequest& request);

// Reads one head into `reply`. True when it was an interim (1xx) one and the real one follows; the
// parser is then ready for it.
Result<bool> take_reply_head(ResponseParser& parser, std::string_view head,
                             const ClientRequest& request, std::vector<HeaderView>& fields,
                             Reply& reply);

std::unexpected<Error> bad_reply(const ClientRequest& request, std::string_view why);

}  // namespace tonnage::net
