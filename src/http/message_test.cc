// Text forms: fields, targets, lists, addresses.
#include "http/message.h"

#include <gtest/gtest.h>

#include "http/address.h"

namespace tonnage::net {
namespace {

TEST(MessageTest, NamesAndListsIgnoreCase) {
  EXPECT_TRUE(same_name("Content-Type", "content-TYPE"));
  EXPECT_FALSE(same_name("a", "ab"));
  EXPECT_TRUE(list_has("keep-alive , X-Hop", "x-hop"));
  EXPECT_FALSE(list_has("keep-alive-not", "keep-alive"));
  EXPECT_FALSE(list_has("", ""));
}

TEST(MessageTest, FieldsCannotEndEarly) {
  std::string out;
  append_field(out, "x-a", "b\r\nc\t\x7f\xff");
  EXPECT_EQ(out, "x-a: b  c\t \xff\r\n");
  out.clear();
  append_field(out, "bad name", "x");
  append_field(out, "", "x");
  append_field(out, "bad:name", "x");
  EXPECT_EQ(out, "");
}

TEST(MessageTest, TargetsAreEscaped) {
  std::string out;
  append_target(out, "/a b%20c\r\n\xc3\xa9?q=1");
  EXPECT_EQ(out, "/a%20b%20c%0D%0A%C3%A9?q=1");
}

TEST(AddressTest, ReadsEveryForm) {
  EXPECT_EQ(parse_address("127.0.0.1:8726"), tcp_address("127.0.0.1", 8726));
  EXPECT_EQ(parse_address("http://localhost:80/"), tcp_address("127.0.0.1", 80));
  EXPECT_EQ(parse_address("[::1]:9"), tcp_address("::1", 9));
  EXPECT_EQ(parse_address("unix:/run/x"), unix_address("/run/x"));
  EXPECT_EQ(parse_address("/run/x"), unix_address("/run/x"));
  for (const char* bad : {"", "8726", "host:1", "127.0.0.1:", "127.0.0.1:70000", "unix:", "a:b"}) {
    EXPECT_FALSE(parse_address(bad)) << bad;
  }
  EXPECT_FALSE(parse_address("/" + std::string(120, 'p')));
}

TEST(AddressTest, TextFormReadsBack) {
  for (const Address& address :
       {tcp_address("127.0.0.1", 1), tcp_address("::1", 2), unix_address("/run/x")}) {
    EXPECT_EQ(parse_address(to_text(address)), address);
  }
}

}  // namespace
}  // namespace tonnage::net
