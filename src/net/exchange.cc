#include "net/exchange.h"

#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "base/check.h"
#include "net/connection.h"

namespace tonnage::net {

Exchange::~Exchange() {
  if (connection_) {
    const auto connection = connection_;  // outlives the reset of the member
    connection->abandoned();
  }
}

std::optional<std::string_view> Exchange::header(std::string_view name) const {
  for (const HeaderView& field : headers_) {
    if (same_name(field.name, name))
      return field.value;
  }
  return std::nullopt;
}

const std::string& Exchange::peer() const {
  return peer_;
}
std::optional<std::uint32_t> Exchange::peer_uid() const {
  return peer_uid_;
}
int Exchange::listener_tag() const {
  return listener_tag_;
}

void Exchange::on_client_gone(std::move_only_function<void()> callback) {
  if (gone_ && callback)
    return;
  on_gone_ = std::move(callback);
}

void Exchange::respond(Response response) {
  if (gone_)
    return;
  TONNAGE_CHECK(connection_ && !begun_, "an exchange is answered twice");
  begun_ = true;
  response.headers.insert(response.headers.end(), answer_headers_.begin(), answer_headers_.end());
  connection_->respond(std::move(response));
}

void Exchange::begin_stream(int status, std::string_view content_type,
                            const std::vector<Header>& headers) {
  if (gone_)
    return;
  TONNAGE_CHECK(connection_ && !begun_, "an exchange is answered twice");
  begun_ = true;
  std::vector<Header> all = headers;
  all.insert(all.end(), answer_headers_.begin(), answer_headers_.end());
  connection_->begin_stream(status, content_type, all);
}

void Exchange::send(std::string_view piece) {
  if (gone_)
    return;
  TONNAGE_CHECK(connection_ && begun_, "send() without a stream");
  connection_->send(piece);
}

void Exchange::end_stream() {
  if (gone_)
    return;
  TONNAGE_CHECK(connection_ && begun_, "end_stream() without a stream");
  const auto connection = connection_;
  connection->end_stream();
}

std::size_t Exchange::pending_bytes() const {
  return connection_ ? connection_->pending_bytes() : 0;
}

void Exchange::relay(RelayTarget target, std::move_only_function<void(RelayResult)> done) {
  if (gone_) {
    boost::asio::post(*io_, [self = shared_from_this(), done = std::move(done)]() mutable {
      done({.end = RelayResult::End::client_gone, .why = "the client left"});
    });
    return;
  }
  TONNAGE_CHECK(connection_, "relay() of an exchange that is answered");
  TONNAGE_CHECK(begun_ == target.stream_already_begun, "relay() and its stream disagree");
  target.response_headers.insert(target.response_headers.end(), answer_headers_.begin(),
                                 answer_headers_.end());
  connection_->relay(std::move(target), std::move(done));
}

void Exchange::cut_relay(std::string why) {
  if (!gone_ && connection_)
    connection_->cut_relay(std::move(why));
}

bool Exchange::finish_broken(std::string_view last_event) {
  return !gone_ && connection_ && connection_->finish_broken(last_event);
}

}  // namespace tonnage::net
