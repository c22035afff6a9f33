#include "daemon/listening.h"

#include <set>
#include <utility>

#include "http/resolve.h"

namespace tonnage {
namespace {

// One entry: all addresses of its name, on one port.
Result<std::uint16_t> open_all(net::Server& server, const Listen& listen,
                               std::set<net::Address>& open, int tag) {
  const auto addresses = net::resolve(listen.host, listen.port);
  if (!addresses)
    return std::unexpected(addresses.error());
  std::uint16_t port = listen.port;
  Result<std::uint16_t> last = port;
  bool any = false;
  for (const net::Address& address : *addresses) {
    // Two entries may stand for one address. Port 0 is another one each time.
    if (port != 0 && !open.insert(net::tcp_address(address.host, port)).second) {
      any = true;
      continue;
    }
    auto opened = server.listen_tcp(address.host, port, tag);
    if (!opened) {
      if (!net::is_address_missing(address))
        return opened;
      last = std::move(opened);
      continue;
    }
    any = true;
    port = *opened;
    open.insert(net::tcp_address(address.host, port));
  }
  if (!any)
    return last;
  return port;
}

}  // namespace

Result<std::vector<Listen>> listen_on(net::Server& server, const std::vector<Listen>& wanted,
                                      int tag) {
  std::vector<Listen> listening;
  std::set<net::Address> open;
  for (const Listen& listen : wanted) {
    const auto port = open_all(server, listen, open, tag);
    if (!port)
      return std::unexpected(port.error());
    listening.push_back({listen.host, *port});
  }
  return listening;
}

}  // namespace tonnage
