#include "net/server.h"

#include <unistd.h>

#include <utility>

#include <boost/asio/post.hpp>

#include "base/check.h"
#include "net/connection.h"
#include "net/listener.h"
#include "net/server_core.h"

namespace tonnage::net {

ServerCore::ServerCore(boost::asio::io_context& context, Limits bounds, Server::Handler on_request)
    : io(context),
      limits(std::move(bounds)),
      handler(std::move(on_request)),
      wheel(context, limits.timer_step),
      upstreams(limits.upstream_idle_max),
      bodies(std::make_shared<BodyBudget>()),
      stop_timer_(TimerWheel::Timer::calling<&ServerCore::stop_deadline>(wheel, this)) {
  bodies->max_bytes = limits.bodies_memory_max.count;
  bodies->file_max_bytes = limits.bodies_file_max.count;
}

ServerCore::~ServerCore() = default;

void ServerCore::accepted(int fd, int family, std::string peer, std::optional<std::uint32_t> uid,
                          int tag) {
  if (connections_.size() >= limits.connections_max || is_short_of_descriptors(fd)) {
    ++stats.connections_refused;
    const Response response =
        error_response({RefusedFor::too_many_connections, 503, "too many connections are open"});
    std::string text = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n";
    append_field(text, "date", date.now());
    append_field(text, "content-type", response.content_type);
    for (const Header& field : response.headers)
      append_field(text, field.name, field.value);
    append_field(text, "content-length", std::to_string(response.body.size()));
    text.append("\r\n").append(response.body);
    Gather refusal;
    refusal.add(text);
    (void)refusal.send(fd);
    ::close(fd);
    return;
  }
  ++stats.connections_accepted;
  const auto connection =
      std::make_shared<Connection>(*this, fd, family, std::move(peer), uid, tag);
  add(connection);
  connection->start();
}

void ServerCore::add(std::shared_ptr<Connection> connection) {
  connection->index_ = connections_.size();
  connections_.push_back(std::move(connection));
}

void ServerCore::remove(Connection& connection) {
  const std::size_t index = connection.index_;
  TONNAGE_CHECK(index < connections_.size() && connections_[index].get() == &connection,
                "a connection is not in its server's list");
  std::swap(connections_[index], connections_.back());
  connections_[index]->index_ = index;
  connections_.pop_back();
  if (stopping_)
    stopped_if_empty();
}

Response ServerCore::error_response(const Refusal& refusal) {
  if (error_body)
    return error_body(refusal);
  std::string body = "{\"error\":{\"message\":\"";
  for (const char c : refusal.why) {
    if (c == '"' || c == '\\')
      body.push_back('\\');
    body.push_back(c);
  }
  body.append("\",\"code\":").append(std::to_string(refusal.status)).append("}}\n");
  return {.status = refusal.status, .content_type = "application/json", .body = std::move(body)};
}

void ServerCore::stop(Duration grace, std::move_only_function<void()> done) {
  TONNAGE_CHECK(!stopping_, "a server is stopped twice");
  stopping_ = true;
  on_stopped_ = std::move(done);
  listeners.clear();
  const auto all = connections_;  // closing takes them off the list
  for (const auto& connection : all)
    connection->close_when_idle();
  if (on_stopped_)
    stop_timer_.arm_in(grace);
  stopped_if_empty();
}

void ServerCore::stop_deadline() {
  const auto all = connections_;
  for (const auto& connection : all)
    connection->lost();
}

void ServerCore::stopped_if_empty() {
  if (!connections_.empty() || !on_stopped_)
    return;
  stop_timer_.disarm();
  upstreams.drop_all();
  boost::asio::post(io, std::exchange(on_stopped_, nullptr));
}

void ServerCore::cut_all() {
  on_stopped_ = nullptr;
  stop_timer_.disarm();
  listeners.clear();
  const auto all = connections_;
  for (const auto& connection : all)
    connection->lost();
  upstreams.drop_all();
}

Server::Server(boost::asio::io_context& io, Limits limits, Handler handler)
    : core_(std::make_shared<ServerCore>(io, std::move(limits), std::move(handler))) {}

Server::~Server() {
  core_->cut_all();
}

void Server::set_head_check(HeadCheck check) {
  core_->head_check = std::move(check);
}
void Server::set_error_body(ErrorBody body) {
  core_->error_body = std::move(body);
}
void Server::set_on_answer(OnAnswer on_answer) {
  core_->on_answer = std::move(on_answer);
}

Result<std::uint16_t> Server::listen_tcp(const std::string& host, std::uint16_t port, int tag) {
  auto listener = Listener::open(*core_, tcp_address(host, port), tag, 0);
  if (!listener)
    return std::unexpected(listener.error());
  const std::uint16_t actual = (*listener)->port();
  core_->listeners.push_back(std::move(*listener));
  return actual;
}

Result<void> Server::listen_unix(const std::string& path, int tag, unsigned mode) {
  auto listener = Listener::open(*core_, unix_address(path), tag, mode);
  if (!listener)
    return std::unexpected(listener.error());
  core_->listeners.push_back(std::move(*listener));
  return {};
}

void Server::stop(Duration grace, std::move_only_function<void()> done) {
  core_->stop(grace, std::move(done));
}

void Server::drop_upstream(const Address& address) {
  core_->upstreams.drop(address);
}

const Limits& Server::limits() const {
  return core_->limits;
}

ServerStats Server::stats() const {
  ServerStats stats = core_->stats;
  stats.connections_open = core_->connections_open();
  stats.upstream_idle = core_->upstreams.idle();
  stats.bodies_file_bytes = core_->bodies->file_used_bytes.load(std::memory_order_relaxed);
  stats.bodies_memory_bytes = core_->bodies->used_bytes.load(std::memory_order_relaxed);
  return stats;
}

}  // namespace tonnage::net
