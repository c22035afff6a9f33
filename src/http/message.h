// Header, Response and the header text that both sides of the proxy write.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace tonnage::net {

// One header field that we send.
struct Header {
  std::string name;
  std::string value;

  friend bool operator==(const Header&, const Header&) = default;
};

// One header field that we received; points into the message that holds it.
struct HeaderView {
  std::string_view name;
  std::string_view value;
};

// A whole answer. Framing fields (content-length, connection, date) are added by the connection.
struct Response {
  int status = 200;
  std::string content_type;  // no content-type field when empty
  std::vector<Header> headers;
  std::string body;
};

// "Not Found" for 404; "Status" for an unknown number.
std::string_view status_reason(int status);

// ASCII case-insensitive equality, as header names need it.
bool same_name(std::string_view a, std::string_view b);

// True when a comma-separated list such as the value of Connection holds the token.
bool list_has(std::string_view list, std::string_view token);

// Appends "name: value\r\n". Bytes that could end a field (CR, LF, NUL, other controls) become
// spaces in values; a name that is not a token is left out whole. So no input can inject a field.
void append_field(std::string& out, std::string_view name, std::string_view value);

// Appends a request target with every space, control byte and non-ASCII byte percent-encoded.
void append_target(std::string& out, std::string_view target);

// Fields that belong to one connection and must not be relayed (RFC 9110 section 7.6.1), with
// those that this proxy writes itself: content-length, transfer-encoding, host, expect.
bool is_hop_by_hop(std::string_view name);

}  // namespace tonnage::net
