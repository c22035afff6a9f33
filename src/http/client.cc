#include "http/client.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/post.hpp>

#include "base/loop_clock.h"
#include "http/client_message.h"
#include "http/upstream.h"

namespace tonnage::net {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kReplyBuffer = std::size_t{16} * 1024;
constexpr auto kBacklogRetry = std::chrono::milliseconds(5);

// One request; keeps itself alive through its pending operations.
class Call final : public UpstreamUser, public std::enable_shared_from_this<Call> {
 public:
  Call(asio::io_context& io, ClientRequest request, std::move_only_function<void(ReplyOrNot)> done)
      : io_(io),
        request_(std::move(request)),
        done_(std::move(done)),
        deadline_(io.get_executor()),
        pause_(io.get_executor()) {}

  void start() {
    out_text_ = client_request_text(request_);
    deadline_.expires_after(request_.timeout);
    deadline_.async_wait([self = weak_from_this()](const boost::system::error_code& error) {
      const auto call = self.lock();
      if (error || !call || !call->done_)
        return;
      call->finish(call->failed("no answer within " + tonnage::to_text(call->request_.timeout)));
    });
    connect();
  }

  void cancel() {
    done_ = nullptr;
    close();
  }

 private:
  using Timer = asio::basic_waitable_timer<LoopClock, asio::wait_traits<LoopClock>,
                                           asio::io_context::executor_type>;

  void connect() {
    connection_ = std::make_shared<UpstreamConnection>(io_, request_.address, kReplyBuffer);
    connection_->set_user(this);
    int error = 0;
    switch (connection_->connect(error)) {
      case UpstreamConnection::Connecting::done:
        return on_connected(0);
      case UpstreamConnection::Connecting::pending:
        return;
      case UpstreamConnection::Connecting::backlog_full:
        if (request_.wait_for_room)
          break;
        [[fallthrough]];
      case UpstreamConnection::Connecting::failed:
        // Not from within http_request().
        asio::post(io_, [self = shared_from_this(), error] { self->on_connected(error); });
        return;
    }
    pause_.expires_after(kBacklogRetry);
    pause_.async_wait([self = weak_from_this()](const boost::system::error_code& waited) {
      const auto call = self.lock();
      if (!waited && call && call->done_)
        call->connect();
    });
  }

  void on_connected(int error) override {
    if (!done_)
      return;
    if (error != 0)
      return finish(failed(std::strerror(error), error));
    connection_->parser().reset(request_.method == "HEAD");
    out_.add(out_text_);
    out_.add(request_.body);
    (void)connection_->write(out_);
    (void)connection_->read();
  }

  void on_request_written() override {}

  void on_readable() override {
    if (!done_)
      return;
    const auto self = shared_from_this();
    const auto end = reader_.take(*connection_, request_);
    if (!end)
      return finish(std::unexpected(NoReply{end.error()}));
    if (*end)
      return finish(reader_.finish());
    if (!connection_->read())
      finish(failed("its header fields are too long"));
  }

  void on_upstream_end(int error) override {
    if (!done_)
      return;
    if (error == 0 && connection_->parser().parse_eof())
      return finish(reader_.finish());
    finish(failed(error == 0 ? "the server closed the connection" : std::strerror(error), error));
  }

  std::unexpected<NoReply> failed(std::string why, int system = 0) const {
    Error error{request_.method + " " + request_.target + " failed at",
                to_text(request_.address),
                std::move(why),
                {}};
    return std::unexpected(NoReply{std::move(error), system});
  }

  void finish(ReplyOrNot reply) {
    const auto self = shared_from_this();
    auto done = std::exchange(done_, nullptr);
    close();
    done(std::move(reply));
  }

  void close() {
    deadline_.cancel();
    pause_.cancel();
    if (connection_)
      std::exchange(connection_, nullptr)->close();
  }

  // Collects the reply out of the connection's buffer.
  struct Reader {
    Reply reply;
    std::vector<HeaderView> fields;
    std::vector<std::string_view> pieces;
    std::size_t scanned = 0;
    bool head_done = false;

    // True when the reply is complete.
    Result<bool> take(UpstreamConnection& from, const ClientRequest& request) {
      while (!head_done) {
        const auto length = head_length(from.unread(), scanned);
        if (length == 0)
          return false;
        const auto interim =
            take_reply_head(from.parser(), from.unread().substr(0, length), request, fields, reply);
        if (!interim)
          return std::unexpected(interim.error());
        from.consume(length);
        scanned = 0;
        head_done = !*interim;
      }
      if (from.parser().done())
        return true;
      pieces.clear();
      const auto progress = from.parser().parse_body(from.unread(), pieces);
      for (const auto piece : pieces)
        reply.body.append(piece);
      from.consume(progress.consumed);
      if (progress.failure)
        return bad_reply(request, progress.failure->why);
      if (reply.body.size() > static_cast<std::size_t>(request.reply_max.count)) {
        return bad_reply(request, "it is longer than " + tonnage::to_text(request.reply_max));
      }
      return from.parser().done();
    }
    ReplyOrNot finish() { return std::move(reply); }
  };

  asio::io_context& io_;
  ClientRequest request_;
  std::move_only_function<void(ReplyOrNot)> done_;
  Timer deadline_;
  Timer pause_;
  std::shared_ptr<UpstreamConnection> connection_;
  std::string out_text_;
  Gather out_;
  Reader reader_;
};

// The handle's end is the request's end.
struct CallHolder {
  std::shared_ptr<Call> call;
  explicit CallHolder(std::shared_ptr<Call> held) : call(std::move(held)) {}
  ~CallHolder() { call->cancel(); }
  CallHolder(const CallHolder&) = delete;
  CallHolder& operator=(const CallHolder&) = delete;
};

}  // namespace

std::string_view Reply::header(std::string_view name) const {
  for (const Header& field : headers) {
    if (field.name == name)
      return field.value;
  }
  return {};
}

ClientCall http_request(asio::io_context& io, ClientRequest request,
                        std::move_only_function<void(ReplyOrNot)> done) {
  auto call = std::make_shared<Call>(io, std::move(request), std::move(done));
  call->start();
  return ClientCall(std::make_shared<CallHolder>(std::move(call)));
}

ClientCall http_get(asio::io_context& io, const Address& address, std::string target,
                    Duration timeout, std::move_only_function<void(ReplyOrNot)> done) {
  return http_request(io, {.address = address, .target = std::move(target), .timeout = timeout},
                      std::move(done));
}

}  // namespace tonnage::net
