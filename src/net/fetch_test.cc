// The blocking client against our own server.
#include <memory>
#include <string>
#include <thread>

#include <boost/asio/post.hpp>

#include "http/blocking_client.h"
#include "net/net_fixture.h"

namespace tonnage::net {
namespace {

// The blocking client has the test's thread's loop as its server, from a thread of its own.
class BlockingClientTest : public NetTest {
 protected:
  template <typename Work>
  void beside_the_loop(Work work) {
    ASSERT_TRUE(server->listen_unix(path("control.sock")));
    bool finished = false;
    std::thread thread([&] {
      work(unix_address(path("control.sock")));
      boost::asio::post(io, [&] { finished = true; });
    });
    const auto in_time = until([&] { return finished; });
    thread.join();
    EXPECT_TRUE(in_time);
  }
};

TEST_F(BlockingClientTest, FetchesAReply) {
  serve([](std::shared_ptr<Exchange> x) {
    x->respond({.status = 404,
                .body = std::string(x->method()) + std::string(x->target()) +
                        std::string(x->body()->view())});
  });
  beside_the_loop([](const Address& address) {
    const auto reply =
        fetch({.address = address, .method = "POST", .target = "/a b", .body = "c", .timeout = 5s});
    ASSERT_TRUE(reply) << reply.error().text();
    EXPECT_EQ(reply->status, 404);
    EXPECT_EQ(reply->body, "POST/a%20bc");
  });
}

TEST_F(BlockingClientTest, StreamsPiecesUntilTheCallerHasEnough) {
  serve([this](std::shared_ptr<Exchange> x) {
    x->begin_stream(200, "text/event-stream");
    x->send("abc");
    held.push_back(std::move(x));
  });
  std::string got;
  beside_the_loop([&](const Address& address) {
    const auto reply = fetch_stream({.address = address, .target = "/events", .timeout = 5s},
                                    [&](std::string_view piece) {
                                      got += piece;
                                      if (got == "abc") {
                                        boost::asio::post(io, [this] { held[0]->send("def"); });
                                      }
                                      return got.size() < 6;
                                    });
    ASSERT_TRUE(reply) << reply.error().text();
    EXPECT_EQ(reply->status, 200);
  });
  EXPECT_EQ(got, "abcdef");
}

}  // namespace
}  // namespace tonnage::net
