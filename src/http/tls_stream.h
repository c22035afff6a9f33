// TlsStream: the client's side of TLS over a connected socket, for the command line.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tonnage::net {

struct TlsSettings {
  // What the certificate has to be for: a host name or a numeric address.
  std::string server_name;
  // False: any certificate will do, so anyone in between can read and change everything.
  bool verify = true;
};

// Certificates are checked against the system's store, or SSL_CERT_FILE and SSL_CERT_DIR. TLS 1.2
// and later. The socket does not block and stays its owner's; SIGPIPE has to be ignored. One
// thread.
class TlsStream {
 public:
  // Waits until the socket is ready for these events of poll(2).
  using Wait = std::function<Result<void>(short events)>;

  static Result<std::unique_ptr<TlsStream>> connect(int socket, const TlsSettings& settings,
                                                    Wait wait);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // All of it.
  Result<void> write(std::string_view text);
  // Appends what comes next, at most `bytes_max`. False at the end of the stream.
  Result<bool> read(std::string& text, std::size_t bytes_max);

 private:
  struct Session;
  TlsStream(std::unique_ptr<Session> session, Wait wait);
  Result<void> retry(int result, const char* what);

  std::unique_ptr<Session> session_;
  Wait wait_;
};

}  // namespace tonnage::net
