// fetch: one request from a command-line tool to the daemon, blocking.
#pragma once

#include <functional>
#include <string_view>

#include "base/result.h"
#include "http/client.h"

namespace tonnage::net {

// How a command-line tool reaches the server beyond what ClientRequest says. Host names are
// resolved here, and each of their addresses is tried.
struct FetchOptions {
  bool tls = false;
  bool verify = true;  // the certificate; see TlsSettings
};

// Waits for the whole reply. `request.timeout` bounds all of it; zero means no bound. An answer of
// any status is a Reply; errors are connections refused, cut, silent or not HTTP. Any thread.
Result<Reply> fetch(const ClientRequest& request, const FetchOptions& options = {});

// Calls `on_piece` with each piece of a 2xx body as it arrives; returning false ends the request.
// `request.timeout` bounds the time to the head and then each silence. The Reply has the body only
// when the status is not 2xx. `request.reply_max` does not bound pieces.
Result<Reply> fetch_stream(const ClientRequest& request,
                           std::move_only_function<bool(std::string_view piece)> on_piece,
                           const FetchOptions& options = {});

}  // namespace tonnage::net
