// The mesh: services with their endpoints, the routes attached to them, the policies in force. All references
// are resolved; what could not be resolved was reported when the model was built. Immutable, shared between
// threads.
#ifndef PILLION_CONTROL_PLANE_MODEL_MODEL_H_
#define PILLION_CONTROL_PLANE_MODEL_MODEL_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control-plane/model/objects.h"
#include "control-plane/model/token_keys.h"

namespace pillion::control {

struct MeshEndpoint {
  std::string host;  // an IP address, or a DNS name
  uint16_t port = 0;
  Health health = Health::kReady;
  bool peer = false;
  std::string zone;
};

struct MeshPort {
  enum class Discovery : uint8_t {
    kEndpoints,     // all of them are addresses
    kNames,         // some are names: each address of them is an endpoint
    kExternalName,  // the first address of one name is the endpoint
  };
  std::string name;
  uint16_t port = 0;
  AppProtocol protocol = AppProtocol::kHttp1;
  bool guessed = false;                 // the Service does not say
  std::vector<MeshEndpoint> endpoints;  // in the order of slices and endpoints; no host twice
  Discovery discovery = Discovery::kEndpoints;
};

size_t ReadyEndpoints(const MeshPort& port);
// What needs a key of the control plane's own: it names no file of the sidecars.
inline bool NeedsTokenKey(const TokenRule& rule) {
  return rule.store.has_value() && rule.store->key_file.empty();
}

struct MeshBackend {
  ObjectName service;
  uint16_t port = 0;
  uint32_t weight = 1;
  HttpFilters filters;
  bool valid = true;  // false: this share of the requests gets an error, as Gateway API has it
};

struct MeshRule {
  std::string name;  // "<namespace>/<route>/<rule>"
  std::vector<HttpMatch> matches;
  HttpFilters filters;
  std::vector<MeshBackend> backends;
  std::chrono::milliseconds request_timeout{0};
  std::chrono::milliseconds backend_request_timeout{0};
  std::optional<RetryRule> retry;           // its own, else of the policy on its route
  std::optional<FaultRule> fault;           // of the policy on its route
  std::optional<RateLimitRule> rate_limit;  // likewise: what each caller's sidecar lets through
  std::optional<TokenRule> tokens;          // likewise: at each backend, whatever its own policy says
  std::optional<DirectAnswer> direct;       // instead of backends
  std::optional<OverrideRule> override_;    // its route alone counts
  std::optional<SessionRule> session;
};

struct MeshRoute {
  ObjectName name;
  RouteKind kind = RouteKind::kHttp;
  int64_t created = 0;
  std::vector<MeshRule> rules;
};

// A route on a Service. A route of another namespace speaks only for the clients of its own. On a port with
// GRPCRoutes of a namespace its HTTPRoutes do not count (GEP-1426: the more specific kind).
struct Attachment {
  std::shared_ptr<const MeshRoute> route;
  std::optional<uint16_t> port;
};

// Records of tokens that the sidecars of a Service hold.
struct EnforcedTokens {
  TokenRule rule;  // with a domain
  std::set<uint16_t> ports;
  std::set<std::string> routes;  // whose policies say so, "HTTPRoute shop/checkout"
  bool of_service = false;       // the Service's own does
};

struct MeshService {
  ObjectName name;
  bool prefers_ipv6 = false;             // where names have both
  std::vector<std::string> cluster_ips;  // of no other Service
  std::vector<MeshPort> ports;           // HTTP ones, in the Service's order
  std::vector<Attachment> routes;
  std::optional<RetryRule> retry;  // for requests whose rule has none
  std::optional<BalancerRule> balancer;
  std::optional<CircuitRule> circuits;
  std::optional<HealthRule> health;
  std::optional<FaultRule> fault;           // for requests whose rule has none
  std::optional<RateLimitRule> rate_limit;  // what each pod's sidecar takes
  std::optional<TokenRule> tokens;          // for requests whose rule has none: they run at most once
  std::vector<EnforcedTokens> enforced;     // none twice, at most kMaxTokenDomains
  // Secret: what answers are sealed with in the stores of `enforced`. "": the sidecars have files, or no
  // store.
  std::string token_key;
  std::optional<OverrideRule> override_;  // its route also where a rule has none

  const MeshPort* FindPort(uint16_t port) const;
  // Those that count for clients of the namespace; a consumer's own replace the producer's.
  std::vector<const MeshRoute*> RoutesFor(uint16_t port, const std::string& client_namespace) const;
};

struct MeshTracing {
  ObjectName collector;
  uint16_t collector_port = 0;
  double sampling_percent = 100;
};

struct Model {
  std::map<ObjectName, MeshService> services;
  std::map<ObjectName, MeshTracing> tracing;     // by the service whose sidecars trace
  std::optional<MeshTracing> mesh_wide_tracing;  // for all others
  std::optional<OverrideRule> mesh_wide_override;
  size_t route_count = 0;
  size_t policy_count = 0;

  const MeshService* FindService(const ObjectName& name) const;
  const MeshTracing* TracingOf(const ObjectName& service) const;
};

struct BuiltModel {
  std::shared_ptr<const Model> model;
  // Dangling references, conflicts, names given twice. The model is usable all the same.
  std::vector<Problem> problems;
};

// `keys` null: there are none, and policies that need one have no effect, which is said.
BuiltModel BuildModel(const std::vector<std::shared_ptr<const Object>>& objects,
                      const TokenKeys* keys = nullptr);

// One match of one rule with its place in the order of precedence.
struct RankedMatch {
  const MeshRoute* route = nullptr;
  const MeshRule* rule = nullptr;
  const HttpMatch* match = nullptr;
  size_t written = 0;  // its place in the text: within a route the first rule and match win what is left
};

// All matches of `routes`, which are of one kind, the one to try first in front: exact path, longest
// expression, longest prefix, method, more headers, more query parameters; of GRPCRoutes more characters of
// the service, of the method, of expressions, more headers; then the oldest route, its name, its rule
// (Gateway API, "must"; the place of expressions is left to us).
std::vector<RankedMatch> InPrecedence(const std::vector<const MeshRoute*>& routes);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_MODEL_MODEL_H_
