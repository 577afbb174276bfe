// Route tables.
#include <algorithm>

#include "control-plane/snapshot/cluster_policy.h"
#include "control-plane/snapshot/overrides.h"
#include "control-plane/snapshot/parts.h"
#include "control-plane/snapshot/route_filters.h"
#include "control-plane/snapshot/tokens.h"
#include "pillion/sidecar/v1/hedge.pb.h"
#include "pillion/sidecar/v1/idempotent.pb.h"

namespace pillion::control {
namespace {

using envoy::config::route::v3::Route;
using envoy::config::route::v3::RouteAction;
using envoy::config::route::v3::RouteConfiguration;
using envoy::config::route::v3::VirtualHost;

void SetPath(envoy::config::route::v3::RouteMatch& to, const PathMatch& from) {
  switch (from.kind) {
    case PathMatch::Kind::kExact:
      to.set_path(from.path);
      break;
    case PathMatch::Kind::kRegex:
      to.mutable_safe_regex()->set_regex(from.path);
      break;
    case PathMatch::Kind::kElementPrefix:
      if (from.path == "/") {
        to.set_prefix("/");
      } else {
        to.set_path_separated_prefix(from.path);
      }
      break;
    case PathMatch::Kind::kPrefix:
      to.set_prefix(from.path);
      break;
  }
}

void SetValue(envoy::type::matcher::v3::StringMatcher& to, const NamedValueMatch& from) {
  if (from.regex) {
    to.mutable_safe_regex()->set_regex(from.value);
  } else {
    to.set_exact(from.value);
  }
}

void SetMatch(envoy::config::route::v3::RouteMatch& to, const HttpMatch& from) {
  SetPath(to, from.path);
  if (!from.method.empty()) {
    auto& header = *to.add_headers();
    header.set_name(":method");
    header.mutable_string_match()->set_exact(from.method);
  }
  for (const NamedValueMatch& value : from.headers) {
    auto& header = *to.add_headers();
    header.set_name(value.name);
    SetValue(*header.mutable_string_match(), value);
  }
  for (const NamedValueMatch& value : from.query) {
    auto& parameter = *to.add_query_parameters();
    parameter.set_name(value.name);
    SetValue(*parameter.mutable_string_match(), value);
  }
}

void SetRetry(RouteAction& action, const RetryRule& rule, std::chrono::milliseconds per_try) {
  auto& retry = *action.mutable_retry_policy();
  std::string conditions;
  for (const std::string& condition : rule.retry_on)
    conditions += (conditions.empty() ? "" : ",") + condition;
  retry.set_retry_on(conditions);
  retry.mutable_num_retries()->set_value(rule.attempts);
  for (const uint32_t code : rule.codes) retry.add_retriable_status_codes(code);
  if (per_try.count() > 0) SetDuration(retry.mutable_per_try_timeout(), per_try);
  if (rule.per_try_idle_timeout.count() > 0)
    SetDuration(retry.mutable_per_try_idle_timeout(), rule.per_try_idle_timeout);
  for (const NamedValue& header : rule.headers) {
    auto& match = *retry.add_retriable_headers();
    match.set_name(header.name);
    if (header.value.empty()) {
      match.set_present_match(true);
    } else {
      match.mutable_string_match()->set_exact(header.value);
    }
  }
  if (rule.idempotent) {
    auto& predicate = *retry.add_retry_options_predicates();
    predicate.set_name("pillion.idempotent");
    predicate.mutable_typed_config()->PackFrom(sidecar::v1::Idempotent());
  }
  if (!rule.idempotent_methods.empty()) {
    sidecar::v1::IdempotentMethods methods;
    for (const std::string& path : rule.idempotent_methods) methods.add_paths(path);
    auto& predicate = *retry.add_retry_options_predicates();
    predicate.set_name("pillion.idempotent_methods");
    predicate.mutable_typed_config()->PackFrom(methods);
  }
  if (rule.hedge.percentile > 0) {
    sidecar::v1::HedgeByLatency by_latency;
    by_latency.set_percentile(rule.hedge.percentile);
    if (rule.hedge.at_least.count() > 0) SetDuration(by_latency.mutable_at_least(), rule.hedge.at_least);
    auto& predicate = *retry.add_retry_options_predicates();
    predicate.set_name("pillion.hedge_by_latency");
    predicate.mutable_typed_config()->PackFrom(by_latency);
  }
  if (rule.hedge.on_per_try_timeout) action.mutable_hedge_policy()->set_hedge_on_per_try_timeout(true);
  if (rule.max_retry_after.count() > 0) {
    auto& limited = *retry.mutable_rate_limited_retry_back_off();
    limited.add_reset_headers()->set_name("retry-after");
    SetDuration(limited.mutable_max_interval(), rule.max_retry_after);
  }
  SetDuration(retry.mutable_retry_back_off()->mutable_base_interval(), rule.backoff_base);
  SetDuration(retry.mutable_retry_back_off()->mutable_max_interval(), rule.backoff_max);
}

// Time-outs and retries of a rule, or (`rule` null) of the default route.
void SetLimits(RouteAction& action, const MeshRule* rule, const MeshService& service) {
  const std::optional<RetryRule>& retry =
      rule != nullptr && rule->retry.has_value() ? rule->retry : service.retry;
  std::chrono::milliseconds timeout{0};
  std::chrono::milliseconds per_try{0};
  if (rule != nullptr) {
    timeout = rule->request_timeout;
    per_try = rule->backend_request_timeout;
  }
  if (retry.has_value()) {
    SetRetry(action, *retry, per_try.count() > 0 ? per_try : retry->per_try_timeout);
  } else if (per_try.count() > 0) {
    // One attempt only: its limit is the limit of the whole (and never the larger one of the two).
    timeout = per_try;
  }
  SetDuration(action.mutable_timeout(), timeout);  // 0: none
}

// Only backends that get something; where there are sessions, also those that keep the ones they have
// (GEP-1619).
std::vector<const MeshBackend*> Weighted(const MeshRule& rule) {
  std::vector<const MeshBackend*> backends;
  for (const MeshBackend& backend : rule.backends) {
    if (backend.weight > 0 || (rule.session.has_value() && backend.valid)) backends.push_back(&backend);
  }
  const bool any = std::ranges::any_of(backends, [](const MeshBackend* one) { return one->weight > 0; });
  return any ? backends : std::vector<const MeshBackend*>();
}

void SetBackends(Route& route, const MeshRule& rule, const MeshService& service, const Model& model,
                 std::set<std::string>& clusters) {
  const std::vector<const MeshBackend*> backends = Weighted(rule);
  const auto valid = std::ranges::count_if(backends, &MeshBackend::valid);
  RouteAction& action = *route.mutable_route();
  if (valid == 0 || static_cast<size_t>(valid) < backends.size())
    action.set_cluster_not_found_response_code(RouteAction::INTERNAL_SERVER_ERROR);
  if (valid == 0) {
    action.set_cluster(kInvalidBackend);
  } else if (backends.size() == 1 && backends[0]->filters.request.empty() &&
             backends[0]->filters.response.empty()) {
    action.set_cluster(OutboundCluster(backends[0]->service, backends[0]->port));
    clusters.insert(action.cluster());
  } else {
    for (const MeshBackend* backend : backends) {
      auto& share = *action.mutable_weighted_clusters()->add_clusters();
      share.set_name(backend->valid ? OutboundCluster(backend->service, backend->port) : kInvalidBackend);
      share.mutable_weight()->set_value(backend->weight);
      SetEdits(share, backend->filters);
      if (backend->valid) clusters.insert(share.name());
    }
  }
  for (const MeshBackend* backend : backends) {
    const MeshService* const to = model.FindService(backend->service);
    if (to != nullptr && to->balancer.has_value()) AddHashPolicies(action, *to->balancer);
  }
  SetLimits(action, &rule, service);
}

// A request without a port in its Host means port 80; of a Service without one, its first.
uint16_t BarePort(const MeshService& service) {
  return service.FindPort(80) != nullptr ? 80 : service.ports.front().port;
}

void SetDomains(VirtualHost& host, const MeshService& service, uint16_t port, const NodeFacts& node) {
  const std::string in_namespace = service.name.name + "." + service.name.ns;
  std::vector<std::string> names;
  if (service.name.ns == node.service.ns) names.push_back(service.name.name);
  names.insert(names.end(), {in_namespace, in_namespace + ".svc", FullName(service.name)});
  for (const std::string& name : names) {
    if (port == BarePort(service)) host.add_domains(name);
    host.add_domains(name + ":" + std::to_string(port));
  }
}

// Of a rule: what becomes of the requests, beside what is done with their fields.
void SetAction(Route& route, const RankedMatch& ranked, const MeshService& service, const MeshPort& port,
               const Model& model, std::set<std::string>& clusters) {
  const MeshRule& rule = *ranked.rule;
  if (rule.filters.redirect.has_value())
    return SetRedirect(*route.mutable_redirect(), *rule.filters.redirect, ranked.match->path, port.port);
  if (rule.direct.has_value()) {
    route.mutable_direct_response()->set_status(rule.direct->status);
    if (!rule.direct->body.empty())
      route.mutable_direct_response()->mutable_body()->set_inline_string(rule.direct->body);
    return;
  }
  SetBackends(route, rule, service, model, clusters);
  const std::optional<FaultRule>& fault = rule.fault.has_value() ? rule.fault : service.fault;
  if (fault.has_value()) SetFault(route, *fault);
  SetTokens(route, ranked, Weighted(rule), model);
  if (rule.session.has_value()) SetSession(route, *rule.session, rule.name, ranked.match->path);
  SetMirrors(*route.mutable_route(), rule.filters.mirrors, clusters);
  if (rule.filters.rewrite.has_value())
    SetRewrite(*route.mutable_route(), *rule.filters.rewrite, ranked.match->path);
}

// Of the requests that no HTTPRoute speaks of.
Route MakeDefaultRoute(const MeshService& service, const MeshPort& port, const std::string& name) {
  Route route;
  route.set_name(name);
  route.mutable_match()->set_prefix("/");
  route.mutable_route()->set_cluster(OutboundCluster(service.name, port.port));
  if (service.balancer.has_value()) AddHashPolicies(*route.mutable_route(), *service.balancer);
  SetLimits(*route.mutable_route(), nullptr, service);
  if (service.fault.has_value()) SetFault(route, *service.fault);
  SetTokens(route, service);
  return route;
}

// `what`: a route, or its host.
template <typename Message>
void MayOverride(const std::optional<OverrideRule>& rule, const std::string& path, Message& what,
                 std::vector<Problem>* problems) {
  if (!rule.has_value()) return;
  const std::string error = Override(*rule, what);
  if (!error.empty() && problems != nullptr) problems->push_back(AsProblem(*rule, path, error));
}

// With all routes of a port of a Service.
VirtualHost MakeHost(const Model& model, const NodeFacts& node, const MeshService& service,
                     const MeshPort& port, std::set<std::string>& clusters, std::vector<Problem>* problems) {
  VirtualHost host;
  host.set_name(FullName(service.name) + ":" + std::to_string(port.port));
  const std::vector<const MeshRoute*> attached = service.RoutesFor(port.port, node.service.ns);
  for (const RankedMatch& ranked : InPrecedence(attached)) {
    const MeshRule& rule = *ranked.rule;
    Route& route = *host.add_routes();
    route.set_name(rule.name);
    SetMatch(*route.mutable_match(), *ranked.match);
    SetEdits(route, rule.filters);
    if (rule.filters.cors.has_value())
      (*route.mutable_typed_per_filter_config())[kCorsFilter].PackFrom(MakeCorsPolicy(*rule.filters.cors));
    if (rule.rate_limit.has_value()) SetRateLimit(route, *rule.rate_limit);
    SetAction(route, ranked, service, port, model, clusters);
    MayOverride(rule.override_.has_value() ? rule.override_ : service.override_, "spec.route", route,
                problems);
  }
  // With a route attached, what matches none of it gets 404.
  if (attached.empty()) {
    Route& route = *host.add_routes() = MakeDefaultRoute(service, port, host.name());
    clusters.insert(route.route().cluster());
    MayOverride(service.override_, "spec.route", route, problems);
  }
  MayOverride(service.override_, "spec.virtual_host", host, problems);
  return host;
}

RouteConfiguration MakeTable(const std::string& name, const Model& model) {
  RouteConfiguration table;
  table.set_name(name);
  // What a backend's filters say comes after what its rule's do.
  table.set_most_specific_header_mutations_wins(true);
  // Its clusters were sent before it, and stay until it is replaced.
  table.mutable_validate_clusters()->set_value(false);
  if (model.mesh_wide_override.has_value()) Override(*model.mesh_wide_override, table);
  return table;
}

}  // namespace

std::vector<PortRoutes> MakePortRoutes(const Model& model, const NodeFacts& node,
                                       std::vector<Problem>* problems) {
  std::vector<PortRoutes> ports;
  for (const auto& [name, service] : model.services) {
    for (const MeshPort& port : service.ports) {
      PortRoutes& made = ports.emplace_back();
      made.service = &service;
      made.port = &port;
      made.host = MakeHost(model, node, service, port, made.clusters, problems);
    }
  }
  return ports;
}

RouteConfiguration MakeOutboundRoutes(const Model& model, const std::vector<PortRoutes>& ports,
                                      const NodeFacts& node) {
  RouteConfiguration table = MakeTable(kOutbound, model);
  for (const PortRoutes& one : ports) {
    VirtualHost& host = *table.add_virtual_hosts();
    host = one.host;
    SetDomains(host, *one.service, one.port->port, node);
  }
  return table;
}

RouteConfiguration MakeCapturedRoutes(const Model& model, const PortRoutes& port) {
  RouteConfiguration table = MakeTable(OutboundCluster(port.service->name, port.port->port), model);
  VirtualHost& host = *table.add_virtual_hosts();
  host = port.host;
  host.add_domains("*");
  return table;
}

RouteConfiguration MakeInboundRoutes(const std::string& cluster, const RateLimitRule* limit) {
  RouteConfiguration table;
  table.set_name(kInbound);
  VirtualHost& host = *table.add_virtual_hosts();
  host.set_name(kInbound);
  host.add_domains("*");
  Route& route = *host.add_routes();
  route.set_name(kInbound);
  route.mutable_match()->set_prefix("/");
  route.mutable_route()->set_cluster(cluster);
  if (limit != nullptr) SetRateLimit(route, *limit);
  SetDuration(route.mutable_route()->mutable_timeout(), std::chrono::milliseconds(0));
  table.mutable_validate_clusters()->set_value(false);
  return table;
}

}  // namespace pillion::control
