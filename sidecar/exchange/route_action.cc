// What a route makes of the messages that take it.
#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "sidecar/exchange/exchange.h"
#include "sidecar/exchange/hash_policy.h"
#include "sidecar/http/target.h"
#include "sidecar/route/edits.h"
#include "sidecar/route/rewrite.h"

namespace pillion::exchange {

using telemetry::Event;

namespace {

constexpr std::string_view kForwardedHost = "x-forwarded-host";

// RFC 3986 section 3.3; a dot may be spelled %2e.
bool HasDotSegments(std::string_view path) {
  path = path.substr(0, path.find('?'));
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    size_t dots = 0;
    while (!segment.empty()) {
      const bool spelled = segment.starts_with("%2e") || segment.starts_with("%2E");
      if (!spelled && segment.front() != '.') break;
      segment.remove_prefix(spelled ? 3 : 1);
      ++dots;
    }
    if (segment.empty() && (dots == 1 || dots == 2)) return true;
  }
  return false;
}

}  // namespace

Next Exchange::AnswerByRoute() {
  local_answer_ = true;
  answered_by_route_ = true;
  if (const std::optional<config::DirectResponse>& direct = route_->direct) {
    local_status_ = direct->status;
    local_body_.AppendCopy(direct->body);
  } else {
    local_status_ = route_->redirect->status;
    local_head_.headers.Add("location",
                            route::Location(*route_->redirect, route_->match, client_->request()));
  }
  Note(Event::kAnsweredHere, local_status_);
  local_head_.status = local_status_;
  local_head_.content = {http::ContentLength::Kind::kSized, local_body_.bytes()};
  step_ = Step::kResponseFilters;
  return Next::kMore;
}

// Once per exchange, when its filters are through with the head: they and the match saw what the client sent,
// all attempts see this. Fields first, so that they can tell of the target as it was (Envoy's order).
RequestError Exchange::ApplyRoute() {
  http::RequestHead& head = client_->request();
  if (target_->edits != nullptr && target_->edits->request != nullptr) {
    const std::string client = client_->peer().ToString();
    route::Apply(*target_->edits->request,
                 {.request = head, .client = client, .route = route_->name, .cluster = cluster_->name()},
                 head.headers);
  }
  // A CONNECT's target is no host, but where its bytes go (RFC 9110 section 9.3.6).
  if (route_->host_rewrite != nullptr && head.method != http::Method::kConnect) {
    std::string host = route::RewrittenHost(*route_->host_rewrite, head);
    if (http::IsAuthority(host)) {
      if (route_->append_forwarded_host && !head.authority.empty())
        head.headers.Add(kForwardedHost, head.authority);
      head.authority = std::move(host);
      head.has_authority = true;
    }
  }
  if (route_->path_rewrite != nullptr && head.path.starts_with('/')) {
    std::string path = route::RewrittenPath(*route_->path_rewrite, route_->match, head.path);
    if (!http::IsOriginForm(path)) return {};
    // "/api" in front of "../x" is one element; "/public/" in its place would make two of it.
    if (HasDotSegments(path) && !HasDotSegments(head.path)) {
      return {ErrorKind::kPathRefused, Side::kClient, Outcome::kNotSent, "a rewrite would make dot segments"};
    }
    path_rewritten_ = true;
    head.headers.Remove(kOriginalPath);
    head.headers.Add(kOriginalPath, head.path);
    head.path = std::move(path);
  }
  return {};
}

// A session comes before the weights of a route's clusters (GEP-1619), also of one that would fail. The turn
// that it had no use for is the next request's: those that begin sessions are shared out by the weights.
// Once per exchange, as soon as the filter of sessions has spoken: those behind it go by the cluster.
void Exchange::FollowSession() {
  if (route_ == nullptr || route_->clusters.size() < 2) return;
  const std::optional<filter::StickySession>& session = leads_->session;
  if (!session || !session->endpoint) return;
  const upstream::PickQuery query{.now = env_.turn.now(), .random = env_.random};
  const auto holds = [&](const RouteScope::Target& target) {
    upstream::ClusterState* const cluster = env_.clusters.Find(*target.cluster);
    return cluster != nullptr && cluster->FindSticky(*session->endpoint, query, target.labels) != nullptr;
  };
  const std::span<const RouteScope::Target> targets = routes_->TargetsOf(*route_, *target_);
  const RouteScope::Target* found = target_;
  if (!holds(*found)) {
    const auto other = std::ranges::find_if(targets, holds);
    if (other == targets.end()) return;
    found = &*other;
  }
  routes_->GiveBack(*route_, *target_);
  target_->stats.started.Subtract();
  target_ = found;
  target_->stats.started.Add();
  cluster_ = LocalRef<upstream::ClusterState>(env_.clusters.Find(*target_->cluster));
  error_ = {};
}

// Of an upstream's answer, or one that the route makes; not of errors, nor of filters' answers.
void Exchange::EditResponse(http::ResponseHead& head) {
  if (!local_answer_ && !route_->hash_policy.empty() && cluster_->config().balancer.hashes())
    AddHashCookies(route_->hash_policy, client_->request(), *client_, head.headers);
  // Not of what another sidecar says instead of its app.
  const bool apps = !local_answer_ && !attempt_->told() && !cluster_->config().original_destination;
  if (apps && leads_ != nullptr) {
    const std::optional<filter::StickySession>& session = leads_->session;
    if (session) session->Tell(attempt_->endpoint()->address(), env_.turn.wall(), head.headers);
  }
  if (target_ == nullptr || target_->edits == nullptr || target_->edits->response == nullptr) return;
  if (local_answer_ && !answered_by_route_) return;
  const std::string client = client_->peer().ToString();
  route::Apply(*target_->edits->response,
               {.request = client_->request(),
                .response = &head.headers,
                .client = client,
                .route = route_->name,
                .cluster = cluster_ ? std::string_view(cluster_->name()) : std::string_view()},
               head.headers);
}

}  // namespace pillion::exchange
