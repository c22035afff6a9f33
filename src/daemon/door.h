// Door: reads what a client wants, checks that it may, and hands it to the desk that does it.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "api/auth.h"
#include "api/body.h"
#include "api/route.h"
#include "api/site.h"
#include "config/config.h"
#include "daemon/control_desk.h"
#include "daemon/directory.h"
#include "daemon/look_desk.h"
#include "daemon/request_desk.h"
#include "metrics/metrics.h"
#include "net/server.h"
#include "process/workers.h"

namespace tonnage {

// Which listener a request came through.
inline constexpr int kPublicListener = 0;
inline constexpr int kControlListener = 1;

class Door {
 public:
  Door(boost::asio::io_context& io, Workers& workers, const Config& config,
       const Directory& directory, RequestDesk& requests, LookDesk& looks, ControlDesk& control,
       Metrics& metrics);

  // Refuses what needs no body to be refused: keys, scopes, foreign sites, unknown paths.
  std::optional<net::Response> check_head(const net::Exchange& exchange) const;
  void take(std::shared_ptr<net::Exchange> exchange);

  // The configuration was replaced by another one, in place.
  void reconfigured(bool keys_changed);

 private:
  std::vector<net::Header> site_headers(const net::Exchange& exchange) const;
  std::optional<net::Response> refusal_of_head(const net::Exchange& exchange) const;
  void note_stranger(const net::Exchange& exchange) const;
  static void answer_preflight(net::Exchange& exchange, bool for_page);
  api::ApiResult<api::Caller> caller_of(const net::Exchange& exchange) const;
  std::expected<api::Route, api::NoRoute> route_of(const net::Exchange& exchange) const;
  void infer(std::shared_ptr<net::Exchange> exchange, const api::Route& route,
             const api::Caller& caller, const api::ApiResult<api::BodyFacts>& facts);
  std::optional<api::ApiError> weigh(const api::BodyFacts& facts, RequestOrder& order,
                                     std::string_view door, const net::Body& body) const;
  void upstream(std::shared_ptr<net::Exchange> exchange, const api::Route& route,
                const api::Caller& caller);
  std::optional<ModelId> resolve(net::Exchange& exchange, const api::Route& route,
                                 const api::Caller& caller, std::string_view name);
  bool refuse_unfit(net::Exchange& exchange, const api::Route& route, std::optional<ModelId> model,
                    std::string_view name);
  void refuse(net::Exchange& exchange, const api::ApiError& error, const api::Route& route);
  net::Response refused(const api::ApiError& error, const api::Route& route) const;
  void count_refusal(std::string_view code, int status, const api::Route* route) const;

  boost::asio::io_context& io_;
  Workers::Lane reader_;  // parses bodies that are too large for the loop
  const Config& config_;
  const Directory& directory_;
  RequestDesk& requests_;
  LookDesk& looks_;
  ControlDesk& control_;
  Metrics& metrics_;
  std::deque<api::Keys> keys_;  // the last ones hold; requests under way point into earlier ones
  api::SiteRules site_;
  mutable std::set<std::string> strangers_;  // origins whose refusal was logged
};

}  // namespace tonnage
