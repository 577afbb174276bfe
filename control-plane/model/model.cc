#include "control-plane/model/model.h"

#include <algorithm>
#include <functional>
#include <set>
#include <tuple>
#include <utility>

#include "control-plane/model/token_domains.h"
#include "sidecar/config/field_path.h"

namespace pillion::control {
namespace {

// Lives for one BuildModel.
class Builder {
 public:
  // `keys` may be null.
  Builder(const std::vector<std::shared_ptr<const Object>>& objects, const TokenKeys* keys) : keys_(keys) {
    Sort(objects);
  }

  BuiltModel Build() {
    for (const Service* service : services_) AddService(*service);
    FindPreferredFamilies();
    for (const EndpointSlice* slice : slices_) AddSlice(*slice);
    for (const HttpRoute* route : routes_) AddRoute(*route);
    for (const RetryPolicy* policy : retries_)
      AddToTargets(*policy, &MeshService::retry, &MeshRule::retry, "RetryPolicy");
    for (const auto* policy : balancers_)
      AddToServices(*policy, &MeshService::balancer, "LoadBalancingPolicy");
    for (const auto* policy : circuits_)
      AddToServices(*policy, &MeshService::circuits, "CircuitBreakerPolicy");
    for (const auto* policy : healths_) AddToServices(*policy, &MeshService::health, "HealthPolicy");
    for (const TracingPolicy* policy : tracings_) AddTracing(*policy);
    for (const FaultPolicy* policy : faults_)
      AddToTargets(*policy, &MeshService::fault, &MeshRule::fault, "FaultPolicy");
    for (const RateLimitPolicy* policy : rate_limits_)
      AddToTargets(*policy, &MeshService::rate_limit, &MeshRule::rate_limit, "RateLimitPolicy");
    for (const auto* policy : tokens_) AddTokens(*policy);
    EnforceTokens();
    MakeTokenKeys();
    for (const XdsOverride* policy : overrides_) {
      AddToTargets(*policy, &MeshService::override_, &MeshRule::override_, "XdsOverride");
      if (policy->targets.empty()) AddToMesh(*policy);
    }
    Attach();
    model_->route_count = routes_.size();
    model_->policy_count = retries_.size() + balancers_.size() + circuits_.size() + healths_.size() +
                           tracings_.size() + faults_.size() + rate_limits_.size() + tokens_.size() +
                           overrides_.size();
    return {std::move(model_), std::move(problems_)};
  }

 private:
  // By kind, each in order of age, then name: the first to claim something keeps it, whatever the file order.
  void Sort(const std::vector<std::shared_ptr<const Object>>& objects);
  void AddService(const Service& service);
  void FindPreferredFamilies();
  void AddSlice(const EndpointSlice& slice);
  void AddRoute(const HttpRoute& route);
  bool MayName(const HttpRoute& route, const ObjectName& service) const;
  MeshBackend Resolve(const HttpRoute& route, const BackendRef& backend);
  std::optional<DirectAnswer> FindDirect(const HttpRoute& route, const HttpRule& rule);
  MeshRoute* FindRoute(const Target& target);
  template <typename Policy, typename Rule>
  void AddToTargets(const Policy& policy, std::optional<Rule> MeshService::* of_service,
                    std::optional<Rule> MeshRule::* of_rule, const char* kind);
  template <typename Policy, typename Rule>
  void AddToServices(const Policy& policy, std::optional<Rule> MeshService::* slot, const char* kind);
  void AddTokens(const IdempotencyPolicy& policy);
  void CheckKeys(const IdempotencyPolicy& policy);
  void EnforceTokens();
  void EnforceTokensOf(MeshRoute& route, const IdempotencyPolicy& policy, const std::string& path);
  void MakeTokenKeys();
  void AddTracing(const TracingPolicy& policy);
  void AddToMesh(const XdsOverride& policy);
  void Attach();
  void ReportDisplaced();

  void Report(const Metadata& metadata, const std::string& path, std::string message) {
    problems_.push_back(metadata.origin->At(path, std::move(message)));
  }
  MeshService* Find(const ObjectName& name) {
    const auto it = model_->services.find(name);
    return it == model_->services.end() ? nullptr : &it->second;
  }

  std::vector<const Service*> services_;
  std::vector<const EndpointSlice*> slices_;
  std::vector<const HttpRoute*> routes_;  // GRPCRoutes too
  // Of the namespace that they give leave to; the order of grants means nothing.
  std::multimap<std::string, const ReferenceGrant*> grants_;
  std::map<ObjectName, const DirectResponse*> directs_;
  std::vector<const RetryPolicy*> retries_;
  std::vector<const LoadBalancingPolicy*> balancers_;
  std::vector<const CircuitBreakerPolicy*> circuits_;
  std::vector<const HealthPolicy*> healths_;
  std::vector<const TracingPolicy*> tracings_;
  std::vector<const FaultPolicy*> faults_;
  std::vector<const RateLimitPolicy*> rate_limits_;
  std::vector<const IdempotencyPolicy*> tokens_;
  std::vector<const XdsOverride*> overrides_;

  const TokenKeys* const keys_;
  std::shared_ptr<Model> model_ = std::make_shared<Model>();
  std::map<std::string, ObjectName> cluster_ips_;  // whose each is
  std::map<ObjectName, bool> peer_services_;
  std::map<ObjectName, bool> ipv6_services_;  // whether their endpoints are the IPv6 ones
  std::map<std::pair<RouteKind, ObjectName>, std::shared_ptr<MeshRoute>> built_routes_;
  std::set<std::pair<std::string_view, const MeshRoute*>> routes_with_policy_;  // by the policy's kind
  // The policy that counts for tokens of a route, and where it says so.
  std::map<const MeshRoute*, std::pair<const IdempotencyPolicy*, std::string>> tokens_of_routes_;
  std::vector<Problem> problems_;
};

void Builder::Sort(const std::vector<std::shared_ptr<const Object>>& objects) {
  std::map<std::pair<size_t, ObjectName>, const Metadata*> seen;
  for (const auto& object : objects) {
    const Metadata& metadata = MetadataOf(*object);
    const auto [first, fresh] = seen.emplace(std::pair(object->index(), metadata.name), &metadata);
    if (!fresh) {
      Report(metadata, "metadata.name",
             "expected another name, " + std::string(KindOf(*object)) + " " + metadata.name.ToString() +
                 " is also in " + first->second->origin->file());
      continue;
    }
    if (const auto* service = std::get_if<Service>(object.get())) services_.push_back(service);
    if (const auto* slice = std::get_if<EndpointSlice>(object.get())) slices_.push_back(slice);
    if (const auto* route = std::get_if<HttpRoute>(object.get())) routes_.push_back(route);
    if (const auto* route = std::get_if<GrpcRoute>(object.get())) routes_.push_back(route);
    if (const auto* grant = std::get_if<ReferenceGrant>(object.get()))
      grants_.emplace(grant->metadata.name.ns, grant);
    if (const auto* retry = std::get_if<RetryPolicy>(object.get())) retries_.push_back(retry);
    if (const auto* balancer = std::get_if<LoadBalancingPolicy>(object.get())) balancers_.push_back(balancer);
    if (const auto* circuit = std::get_if<CircuitBreakerPolicy>(object.get())) circuits_.push_back(circuit);
    if (const auto* health = std::get_if<HealthPolicy>(object.get())) healths_.push_back(health);
    if (const auto* tracing = std::get_if<TracingPolicy>(object.get())) tracings_.push_back(tracing);
    if (const auto* fault = std::get_if<FaultPolicy>(object.get())) faults_.push_back(fault);
    if (const auto* limit = std::get_if<RateLimitPolicy>(object.get())) rate_limits_.push_back(limit);
    if (const auto* tokens = std::get_if<IdempotencyPolicy>(object.get())) tokens_.push_back(tokens);
    if (const auto* one = std::get_if<XdsOverride>(object.get())) overrides_.push_back(one);
    if (const auto* direct = std::get_if<DirectResponse>(object.get()))
      directs_.emplace(direct->metadata.name, direct);
  }
  const auto older = [](const auto* a, const auto* b) {
    return std::tie(a->metadata.created, a->metadata.name) < std::tie(b->metadata.created, b->metadata.name);
  };
  std::sort(services_.begin(), services_.end(), older);
  std::sort(slices_.begin(), slices_.end(), older);
  std::sort(routes_.begin(), routes_.end(), older);
  std::sort(retries_.begin(), retries_.end(), older);
  std::sort(balancers_.begin(), balancers_.end(), older);
  std::sort(circuits_.begin(), circuits_.end(), older);
  std::sort(healths_.begin(), healths_.end(), older);
  std::sort(tracings_.begin(), tracings_.end(), older);
  std::sort(faults_.begin(), faults_.end(), older);
  std::sort(rate_limits_.begin(), rate_limits_.end(), older);
  std::sort(tokens_.begin(), tokens_.end(), older);
  std::sort(overrides_.begin(), overrides_.end(), older);
}

void Builder::AddService(const Service& service) {
  MeshService mesh{.name = service.metadata.name,
                   .prefers_ipv6 = service.prefers_ipv6,
                   .cluster_ips = {},
                   .ports = {},
                   .routes = {},
                   .retry = {},
                   .balancer = {},
                   .circuits = {},
                   .health = {},
                   .fault = {},
                   .rate_limit = {},
                   .tokens = {},
                   .enforced = {},
                   .token_key = {},
                   .override_ = {}};
  for (const ServicePort& port : service.ports) {
    if (port.protocol == AppProtocol::kNotHttp) continue;
    MeshPort& made = mesh.ports.emplace_back();
    made.name = port.name;
    made.port = port.port;
    made.protocol = port.protocol;
    made.guessed = port.guessed;
    if (service.external_name.empty()) continue;
    made.discovery = MeshPort::Discovery::kExternalName;
    made.endpoints.push_back({service.external_name, port.port, Health::kReady, service.peer, ""});
  }
  // What is dialled there can be meant for one only.
  for (const std::string& ip : service.cluster_ips) {
    const auto [owner, fresh] = cluster_ips_.emplace(ip, mesh.name);
    if (fresh) {
      mesh.cluster_ips.push_back(ip);
    } else {
      Report(service.metadata, "spec.cluster_ips",
             "expected addresses of no other Service, " + ip + " is that of " + owner->second.ToString());
    }
  }
  peer_services_[mesh.name] = service.peer;
  model_->services.emplace(service.metadata.name, std::move(mesh));
}

// The pods of a dual-stack Service are in a slice of each family. A sidecar that reaches one family only
// would lose half of its requests, and no pod is meant to count twice.
void Builder::FindPreferredFamilies() {
  std::map<ObjectName, bool> found[2];
  for (const EndpointSlice* slice : slices_) {
    if (slice->endpoints.empty() || slice->type == EndpointSlice::Type::kNames) continue;
    found[slice->type == EndpointSlice::Type::kIpv6 ? 1 : 0][slice->service] = true;
  }
  for (const Service* service : services_) {
    const ObjectName& name = service->metadata.name;
    const size_t preferred = service->prefers_ipv6 ? 1 : 0;
    ipv6_services_[name] = service->prefers_ipv6;
    if (!found[preferred].contains(name) && found[1 - preferred].contains(name)) {
      ipv6_services_[name] = !service->prefers_ipv6;
    }
  }
}

void Builder::AddSlice(const EndpointSlice& slice) {
  MeshService* service = Find(slice.service);
  if (service == nullptr) {
    Report(slice.metadata, "metadata.labels[\"kubernetes.io/service-name\"]",
           "expected a Service, there is no " + slice.service.ToString());
    return;
  }
  const bool names = slice.type == EndpointSlice::Type::kNames;
  const bool ipv6 = slice.type == EndpointSlice::Type::kIpv6;
  if (!names && ipv6 != ipv6_services_[slice.service]) return;
  const bool peer = slice.peer.value_or(peer_services_[slice.service]);
  for (MeshPort& port : service->ports) {
    for (const SlicePort& from : slice.ports) {
      if (from.name != port.name) continue;
      if (port.discovery == MeshPort::Discovery::kExternalName) {
        Report(slice.metadata, "metadata.labels[\"kubernetes.io/service-name\"]",
               "expected a Service that is no ExternalName; " + slice.service.ToString() + " is one");
        return;
      }
      if (names && !slice.endpoints.empty()) port.discovery = MeshPort::Discovery::kNames;
      for (const SliceEndpoint& endpoint : slice.endpoints) {
        // While Kubernetes moves an endpoint between slices it is in both.
        const bool twice = std::any_of(port.endpoints.begin(), port.endpoints.end(), [&](const auto& other) {
          return other.host == endpoint.host && other.port == from.port;
        });
        if (!twice)
          port.endpoints.push_back({endpoint.host, from.port, endpoint.health, peer, endpoint.zone});
      }
    }
  }
}

// A Service of its own namespace, one that it is a route of (what was addressed there may go on there), or
// one that a grant is for.
bool Builder::MayName(const HttpRoute& route, const ObjectName& service) const {
  const std::string& ns = route.metadata.name.ns;
  if (service.ns == ns) return true;
  if (std::ranges::any_of(route.parents, [&](const ParentRef& ref) { return ref.service == service; }))
    return true;
  const auto [begin, end] = grants_.equal_range(service.ns);
  return std::any_of(begin, end, [&](const auto& entry) {
    const ReferenceGrant& grant = *entry.second;
    const bool to =
        grant.all_services || std::ranges::find(grant.services, service.name) != grant.services.end();
    return to && std::ranges::any_of(grant.from, [&](const ReferenceGrant::From& from) {
             return from.kind == route.kind && from.ns == ns;
           });
  });
}

MeshBackend Builder::Resolve(const HttpRoute& route, const BackendRef& backend) {
  MeshBackend mesh{.service = backend.service,
                   .port = backend.port,
                   .weight = backend.weight,
                   .filters = backend.filters,
                   .valid = false};
  const MeshService* service = Find(backend.service);
  if (!MayName(route, backend.service)) {
    const char* kind = route.kind == RouteKind::kGrpc ? "GRPCRoutes" : "HTTPRoutes";
    Report(route.metadata, backend.path,
           "expected a Service of this namespace, or a ReferenceGrant in namespace " + backend.service.ns +
               " for " + kind + " of " + route.metadata.name.ns);
  } else if (service == nullptr) {
    Report(route.metadata, backend.path, "expected a Service, there is no " + backend.service.ToString());
  } else if (service->FindPort(backend.port) == nullptr) {
    Report(route.metadata, config::FieldPath(backend.path, "port"),
           "expected an HTTP port of the Service, " + backend.service.ToString() + " has no " +
               std::to_string(backend.port));
  } else if (route.kind == RouteKind::kGrpc &&
             service->FindPort(backend.port)->protocol != AppProtocol::kHttp2) {
    Report(route.metadata, config::FieldPath(backend.path, "port"),
           "expected a port of appProtocol grpc, that of " + backend.service.ToString() + " is of HTTP/1");
  } else {
    mesh.valid = true;
  }
  return mesh;
}

void Builder::AddRoute(const HttpRoute& route) {
  auto mesh = std::make_shared<MeshRoute>();
  mesh->name = route.metadata.name;
  mesh->kind = route.kind;
  mesh->created = route.metadata.created;
  for (size_t i = 0; i < route.rules.size(); ++i) {
    const HttpRule& rule = route.rules[i];
    MeshRule built{
        .name = route.metadata.name.ToString() + "/" + (rule.name.empty() ? std::to_string(i) : rule.name),
        .matches = rule.matches,
        .filters = rule.filters,
        .backends = {},
        .request_timeout = rule.request_timeout,
        .backend_request_timeout = rule.backend_request_timeout,
        .retry = rule.retry,
        .fault = {},
        .rate_limit = {},
        .tokens = {},
        .direct = FindDirect(route, rule),
        .override_ = {},
        .session = rule.session};
    for (const BackendRef& backend : rule.backends) built.backends.push_back(Resolve(route, backend));
    // One that is not there gets no copies; the requests are served.
    std::erase_if(built.filters.mirrors, [&](MirrorRule& mirror) {
      if (mirror.service.ns.empty()) mirror.service.ns = route.metadata.name.ns;
      BackendRef as_backend;
      as_backend.service = mirror.service;
      as_backend.port = mirror.port;
      as_backend.path = mirror.path;
      return !Resolve(route, as_backend).valid;
    });
    mesh->rules.push_back(std::move(built));
  }
  built_routes_.emplace(std::pair(route.kind, mesh->name), std::move(mesh));
}

// What cannot be found must not be left out (Gateway API: the requests get an error).
std::optional<DirectAnswer> Builder::FindDirect(const HttpRoute& route, const HttpRule& rule) {
  const std::optional<NamedObject>& wanted = rule.filters.direct;
  if (!wanted.has_value()) return std::nullopt;
  const ObjectName name{route.metadata.name.ns, wanted->name};
  const auto found = directs_.find(name);
  if (found != directs_.end()) return found->second->answer;
  Report(route.metadata, wanted->path, "expected a DirectResponse, there is no " + name.ToString());
  return DirectAnswer{.status = 500, .body = ""};
}

MeshRoute* Builder::FindRoute(const Target& target) {
  const RouteKind kind = target.kind == TargetKind::kGrpcRoute ? RouteKind::kGrpc : RouteKind::kHttp;
  const auto it = built_routes_.find({kind, target.name});
  return it == built_routes_.end() ? nullptr : it->second.get();
}

// Of policies for Services and for routes: of two on one target the older one counts, and what a rule says
// itself before either.
template <typename Policy, typename Rule>
void Builder::AddToTargets(const Policy& policy, std::optional<Rule> MeshService::* of_service,
                           std::optional<Rule> MeshRule::* of_rule, const char* kind) {
  for (const Target& target : policy.targets) {
    const bool is_service = target.kind == TargetKind::kService;
    MeshService* const service = is_service ? Find(target.name) : nullptr;
    MeshRoute* const route = is_service ? nullptr : FindRoute(target);
    if (service == nullptr && route == nullptr) {
      const char* const wanted = is_service                              ? "a Service"
                                 : target.kind == TargetKind::kGrpcRoute ? "a GRPCRoute"
                                                                         : "an HTTPRoute";
      Report(policy.metadata, target.path,
             std::string("expected ") + wanted + ", there is no " + target.name.ToString());
    } else if (is_service ? (service->*of_service).has_value()
                          : !routes_with_policy_.emplace(kind, route).second) {
      Report(policy.metadata, target.path,
             std::string("expected a target without a ") + kind + ", an older one is attached to it");
    } else if (is_service) {
      service->*of_service = policy.rule;
    } else {
      for (MeshRule& rule : route->rules) {
        if (!(rule.*of_rule).has_value()) rule.*of_rule = policy.rule;
      }
    }
  }
}

// Of policies that speak of Services alone: of two the older one counts.
template <typename Policy, typename Rule>
void Builder::AddToServices(const Policy& policy, std::optional<Rule> MeshService::* slot, const char* kind) {
  for (const Target& target : policy.targets) {
    MeshService* service = Find(target.name);
    if (service == nullptr) {
      Report(policy.metadata, target.path, "expected a Service, there is no " + target.name.ToString());
    } else if ((service->*slot).has_value()) {
      Report(policy.metadata, target.path,
             std::string("expected a target without a ") + kind + ", an older one is attached to it");
    } else {
      service->*slot = policy.rule;
    }
  }
}

// A policy without a key is not there at all: what is half in force, at callers or at pods, protects nobody.
void Builder::AddTokens(const IdempotencyPolicy& policy) {
  if (keys_ == nullptr && NeedsTokenKey(policy.rule)) {
    return Report(
        policy.metadata, "spec.store",
        "expected keyFile, or a control plane with --token-key-file: answers would be stored as they "
        "are. The policy has no effect");
  }
  AddToTargets(policy, &MeshService::tokens, &MeshRule::tokens, "IdempotencyPolicy");
  for (const Target& target : policy.targets) {
    const MeshRoute* const route = target.kind == TargetKind::kService ? nullptr : FindRoute(target);
    if (route != nullptr) tokens_of_routes_.try_emplace(route, &policy, target.path);
  }
  CheckKeys(policy);
}

// Services first, so that a route's policy is the one that there is no room for. Records are kept from the
// moment that a route names a backend, whether it is attached yet and whatever the weight: they are enforced
// when its requests come.
void Builder::EnforceTokens() {
  for (auto& [name, service] : model_->services) {
    if (!service.tokens.has_value()) continue;
    for (const MeshPort& port : service.ports) Enforce(service, *service.tokens, port.port, "");
  }
  for (const HttpRoute* route : routes_) {
    MeshRoute& built = *built_routes_.at({route->kind, route->metadata.name});
    const auto found = tokens_of_routes_.find(&built);
    if (found != tokens_of_routes_.end()) EnforceTokensOf(built, *found->second.first, found->second.second);
  }
}

void Builder::EnforceTokensOf(MeshRoute& route, const IdempotencyPolicy& policy, const std::string& path) {
  if (!policy.rule.has_domain()) return;
  std::set<std::pair<ObjectName, uint16_t>> backends;
  std::set<ObjectName> others;
  for (const MeshRule& rule : route.rules) {
    for (const MeshBackend& one : rule.backends) {
      if (one.valid && SpeaksFor(route, policy.rule, one.service)) {
        backends.emplace(one.service, one.port);
      } else if (one.valid) {
        others.insert(one.service);
      }
    }
  }
  for (const ObjectName& name : others) {
    Report(policy.metadata, path,
           "expected backends of namespace " + route.name.ns + ": at " + name.ToString() +
               " the policy of that Service counts, if it has one");
  }
  for (const auto& [name, port] : backends) {
    if (HasRoomFor(*Find(name), policy.rule)) continue;
    Report(policy.metadata, path,
           "expected at most " + std::to_string(kMaxTokenDomains) +
               " policies that differ for one Service, " + name.ToString() +
               " has them: this one has no effect on the route");
    for (MeshRule& rule : route.rules) rule.tokens.reset();
    return;
  }
  const char* const kind = route.kind == RouteKind::kGrpc ? "GRPCRoute " : "HTTPRoute ";
  for (const auto& [name, port] : backends) {
    MeshService& service = *Find(name);
    if (service.FindPort(port)->discovery != MeshPort::Discovery::kEndpoints) {
      Report(policy.metadata, path,
             "expected a route to Services whose endpoints are addresses: " + name.ToString() + ":" +
                 std::to_string(port) + " is reached by a name, and its requests get no tokens");
    }
    Enforce(service, policy.rule, port, kind + route.name.ToString());
  }
}

void Builder::MakeTokenKeys() {
  for (auto& [name, service] : model_->services) {
    const auto needs = [](const EnforcedTokens& one) { return NeedsTokenKey(one.rule); };
    if (std::ranges::any_of(service.enforced, needs)) service.token_key = keys_->Of(name);
  }
}

// Keys are known to one process. The policy stays: what it says must not run twice is refused while nobody
// can tell, and not let through.
void Builder::CheckKeys(const IdempotencyPolicy& policy) {
  if (!policy.rule.keys_of_one_process()) return;
  for (const Target& target : policy.targets) {  // Services: routes have no keys
    const MeshService* const service = Find(target.name);
    if (service == nullptr) continue;
    for (const MeshPort& port : service->ports) {
      if (const size_t ready = ReadyEndpoints(port); ready > 1) {
        Report(
            policy.metadata, "spec.key_source",
            "expected Mint or Passthrough, mode: Shared, or a Service with one endpoint: keys are known to "
            "one process, and " +
                target.name.ToString() + ":" + std::to_string(port.port) + " has " + std::to_string(ready) +
                " that are ready; until it has one its requests with keys are refused (503)");
      }
    }
  }
}

void Builder::AddTracing(const TracingPolicy& policy) {
  const MeshService* collector = Find(policy.collector);
  const MeshPort* port = collector == nullptr ? nullptr : collector->FindPort(policy.collector_port);
  if (port == nullptr || port->protocol != AppProtocol::kHttp2) {
    Report(policy.metadata, "spec.collector",
           "expected a Service with a port of appProtocol grpc, " + policy.collector.ToString() +
               " has no such " + std::to_string(policy.collector_port));
    return;
  }
  const MeshTracing tracing{policy.collector, policy.collector_port, policy.sampling_percent};
  if (policy.targets.empty()) {
    if (model_->mesh_wide_tracing.has_value()) {
      Report(policy.metadata, "spec", "expected targetRefs, an older TracingPolicy is for the whole mesh");
    } else {
      model_->mesh_wide_tracing = tracing;
    }
  }
  for (const Target& target : policy.targets) {
    if (Find(target.name) == nullptr) {
      Report(policy.metadata, target.path, "expected a Service, there is no " + target.name.ToString());
    } else if (!model_->tracing.emplace(target.name, tracing).second) {
      Report(policy.metadata, target.path,
             "expected a target without a TracingPolicy, an older one is attached to it");
    }
  }
}

void Builder::AddToMesh(const XdsOverride& policy) {
  if (model_->mesh_wide_override.has_value()) {
    Report(policy.metadata, "spec", "expected targetRefs, an older XdsOverride is for the whole mesh");
  } else {
    model_->mesh_wide_override = policy.rule;
  }
}

void Builder::Attach() {
  for (const HttpRoute* route : routes_) {
    for (const ParentRef& parent : route->parents) {
      MeshService* service = Find(parent.service);
      if (service == nullptr) {
        Report(route->metadata, parent.path, "expected a Service, there is no " + parent.service.ToString());
      } else if (parent.port.has_value() && service->FindPort(*parent.port) == nullptr) {
        Report(route->metadata, config::FieldPath(parent.path, "port"),
               "expected an HTTP port of the Service, " + parent.service.ToString() + " has no " +
                   std::to_string(*parent.port));
      } else {
        service->routes.push_back({built_routes_.at({route->kind, route->metadata.name}), parent.port});
      }
    }
  }
  ReportDisplaced();
}

// HTTPRoutes that do not count because of GRPCRoutes.
void Builder::ReportDisplaced() {
  std::set<std::tuple<ObjectName, std::string, uint16_t>> of_grpc;  // Service, namespace of the route, port
  const auto on_port = [](const std::optional<uint16_t>& of, uint16_t port) {
    return of.value_or(port) == port;
  };
  for (const auto& [name, service] : model_->services) {
    for (const Attachment& attachment : service.routes) {
      if (attachment.route->kind != RouteKind::kGrpc) continue;
      for (const MeshPort& port : service.ports) {
        if (on_port(attachment.port, port.port)) of_grpc.emplace(name, attachment.route->name.ns, port.port);
      }
    }
  }
  for (const HttpRoute* route : routes_) {
    if (of_grpc.empty() || route->kind == RouteKind::kGrpc) continue;
    for (const ParentRef& parent : route->parents) {
      const MeshService* service = Find(parent.service);
      if (service == nullptr) continue;
      for (const MeshPort& port : service->ports) {
        if (!on_port(parent.port, port.port) ||
            !of_grpc.contains({parent.service, route->metadata.name.ns, port.port})) {
          continue;
        }
        Report(route->metadata, parent.path,
               "expected no GRPCRoute at port " + std::to_string(port.port) +
                   " of the Service: there this route does not count");
      }
    }
  }
}

}  // namespace

size_t ReadyEndpoints(const MeshPort& port) {
  return static_cast<size_t>(std::ranges::count(port.endpoints, Health::kReady, &MeshEndpoint::health));
}

const MeshPort* MeshService::FindPort(uint16_t number) const {
  const auto it =
      std::find_if(ports.begin(), ports.end(), [&](const MeshPort& p) { return p.port == number; });
  return it == ports.end() ? nullptr : &*it;
}

std::vector<const MeshRoute*> MeshService::RoutesFor(uint16_t port,
                                                     const std::string& client_namespace) const {
  std::vector<const MeshRoute*> producer;
  std::vector<const MeshRoute*> consumer;
  for (const Attachment& attachment : routes) {
    if (attachment.port.value_or(port) != port) continue;
    const std::string& ns = attachment.route->name.ns;
    if (ns == name.ns) {
      producer.push_back(attachment.route.get());
    } else if (ns == client_namespace) {
      consumer.push_back(attachment.route.get());
    }
  }
  std::vector<const MeshRoute*>& found = consumer.empty() ? producer : consumer;
  const auto is_grpc = [](const MeshRoute* route) { return route->kind == RouteKind::kGrpc; };
  if (std::ranges::any_of(found, is_grpc)) std::erase_if(found, std::not_fn(is_grpc));
  return found;
}

const MeshService* Model::FindService(const ObjectName& name) const {
  const auto it = services.find(name);
  return it == services.end() ? nullptr : &it->second;
}

const MeshTracing* Model::TracingOf(const ObjectName& service) const {
  if (const auto it = tracing.find(service); it != tracing.end()) return &it->second;
  return mesh_wide_tracing.has_value() ? &*mesh_wide_tracing : nullptr;
}

BuiltModel BuildModel(const std::vector<std::shared_ptr<const Object>>& objects, const TokenKeys* keys) {
  return Builder(objects, keys).Build();
}

}  // namespace pillion::control
