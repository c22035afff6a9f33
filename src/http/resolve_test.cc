#include "http/resolve.h"

#include <gtest/gtest.h>

namespace tonnage::net {
namespace {

TEST(Resolve, AnAddressIsItself) {
  EXPECT_EQ(*resolve("127.0.0.1", 80), std::vector{tcp_address("127.0.0.1", 80)});
  EXPECT_EQ(*resolve("::1", 0), std::vector{tcp_address("::1", 0)});
}

TEST(Resolve, LocalhostIsThisMachine) {
  const auto found = resolve("localhost", 8726);
  ASSERT_TRUE(found) << found.error().text();
  for (const Address& address : *found) {
    EXPECT_TRUE(address.host == "::1" || address.host.starts_with("127.")) << address.host;
    EXPECT_EQ(address.port, 8726);
  }
}

TEST(Resolve, ANameWithoutAnAddressIsAnErrorThatNamesIt) {
  const auto found = resolve("no-such-host.invalid", 1);
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().text().find("'no-such-host.invalid'"), std::string::npos);
}

}  // namespace
}  // namespace tonnage::net
