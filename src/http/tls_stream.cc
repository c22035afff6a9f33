#include "http/tls_stream.h"

#include <arpa/inet.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace tonnage::net {
namespace {

std::string library_error() {
  const unsigned long code = ERR_get_error();
  if (code == 0)
    return errno != 0 ? std::strerror(errno) : "the connection was closed";
  const char* reason = ERR_reason_error_string(code);
  return reason == nullptr ? "error " + std::to_string(code) : reason;
}

bool is_numeric(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> ignored{};
  return ::inet_pton(AF_INET, host.c_str(), ignored.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), ignored.data()) == 1;
}

}  // namespace

struct TlsStream::Session {
  ~Session() {
    SSL_free(ssl);
    SSL_CTX_free(context);
  }

  bool prepare(int socket, const TlsSettings& settings) {
    context = SSL_CTX_new(TLS_client_method());
    if (context == nullptr || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_default_verify_paths(context) != 1)
      return false;
    ssl = SSL_new(context);
    if (ssl == nullptr || SSL_set_fd(ssl, socket) != 1)
      return false;
    SSL_set_verify(ssl, settings.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    const std::string& name = settings.server_name;
    if (is_numeric(name))
      return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) == 1;
    // SSL_set_tlsext_host_name() without its cast.
    std::string sent = name;
    return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, sent.data()) ==
               1 &&
           SSL_set1_host(ssl, name.c_str()) == 1;
  }

  SSL_CTX* context = nullptr;
  SSL* ssl = nullptr;
};

TlsStream::TlsStream(std::unique_ptr<Session> session, Wait wait)
    : session_(std::move(session)), wait_(std::move(wait)) {}

TlsStream::~TlsStream() {
  // A word of farewell; nobody waits for the answer.
  SSL_shutdown(session_->ssl);
}

Result<std::unique_ptr<TlsStream>> TlsStream::connect(int socket, const TlsSettings& settings,
                                                      Wait wait) {
  ERR_clear_error();
  auto session = std::make_unique<Session>();
  if (!session->prepare(socket, settings))
    return fail("cannot use TLS", settings.server_name, library_error());
  std::unique_ptr<TlsStream> stream(new TlsStream(std::move(session), std::move(wait)));
  SSL* ssl = stream->session_->ssl;
  for (;;) {
    ERR_clear_error();
    errno = 0;
    const int result = SSL_connect(ssl);
    if (result == 1)
      return stream;
    if (const long verdict = SSL_get_verify_result(ssl); settings.verify && verdict != X509_V_OK) {
      return fail(
          "cannot trust", settings.server_name,
          std::string("its certificate was refused: ") + X509_verify_cert_error_string(verdict),
          "add its authority to the system's certificates or name it in SSL_CERT_FILE, or "
          "accept any certificate with --insecure-tls");
    }
    if (auto again = stream->retry(result, "cannot begin TLS"); !again)
      return std::unexpected(again.error());
  }
}

// After a call that did not succeed: waits where that helps.
Result<void> TlsStream::retry(int result, const char* what) {
  switch (SSL_get_error(session_->ssl, result)) {
    case SSL_ERROR_WANT_READ:
      return wait_(POLLIN);
    case SSL_ERROR_WANT_WRITE:
      return wait_(POLLOUT);
    default:
      return fail(what, "", library_error());
  }
}

Result<void> TlsStream::write(std::string_view text) {
  while (!text.empty()) {
    ERR_clear_error();
    errno = 0;
    std::size_t written = 0;
    const int result = SSL_write_ex(session_->ssl, text.data(), text.size(), &written);
    if (result == 1) {
      text.remove_prefix(written);
    } else if (auto again = retry(result, "cannot write over TLS"); !again) {
      return again;
    }
  }
  return {};
}

Result<bool> TlsStream::read(std::string& text, std::size_t bytes_max) {
  for (;;) {
    ERR_clear_error();
    errno = 0;
    const std::size_t held = text.size();
    text.resize(held + bytes_max);
    std::size_t got = 0;
    const int result = SSL_read_ex(session_->ssl, text.data() + held, bytes_max, &got);
    text.resize(held + (result == 1 ? got : 0));
    if (result == 1)
      return true;
    // An end without a farewell as well: the parser of HTTP knows whether something is missing.
    const int error = SSL_get_error(session_->ssl, result);
    const bool cut = error == SSL_ERROR_SSL &&
                     ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
    if (error == SSL_ERROR_ZERO_RETURN || cut)
      return false;
    if (auto again = retry(result, "cannot read over TLS"); !again)
      return std::unexpected(again.error());
  }
}

}  // namespace tonnage::net
