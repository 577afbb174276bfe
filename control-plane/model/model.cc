#include "control-plane/model/model.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "sidecar/config/field_path.h"

namespace pillion::control {
namespace {

// Lives for one BuildModel.
class Builder {
 public:
  explicit Builder(const std::vector<std::shared_ptr<const Object>>& objects) { Sort(objects); }

  BuiltModel Build() {
    for (const Service* service : services_) AddService(*service);
    FindPreferredFamilies();
    for (const EndpointSlice* slice : slices_) AddSlice(*slice);
    for (const HttpRoute* route : routes_) AddRoute(*route);
    for (const RetryPolicy* policy : retries_) AddRetry(*policy);
    for (const LoadBalancingPolicy* policy : balancers_) AddBalancer(*policy);
    for (const TracingPolicy* policy : tracings_) AddTracing(*policy);
    for (const FaultPolicy* policy : faults_) AddFault(*policy);
    for (const RateLimitPolicy* policy : rate_limits_) AddRateLimit(*policy);
    Attach();
    model_->route_count = routes_.size();
    model_->policy_count =
        retries_.size() + balancers_.size() + tracings_.size() + faults_.size() + rate_limits_.size();
    return {std::move(model_), std::move(problems_)};
  }

 private:
  // By kind, each in order of age, then name: the first to claim something keeps it, whatever the file order.
  void Sort(const std::vector<std::shared_ptr<const Object>>& objects);
  void AddService(const Service& service);
  void FindPreferredFamilies();
  void AddSlice(const EndpointSlice& slice);
  void AddRoute(const HttpRoute& route);
  MeshBackend Resolve(const HttpRoute& route, const BackendRef& backend);
  void AddRetry(const RetryPolicy& policy);
  void AddBalancer(const LoadBalancingPolicy& policy);
  void AddTracing(const TracingPolicy& policy);
  void AddFault(const FaultPolicy& policy);
  void AddRateLimit(const RateLimitPolicy& policy);
  void Attach();

  void Report(const Metadata& metadata, const std::string& path, std::string message) {
    problems_.push_back(metadata.origin->At(path, std::move(message)));
  }
  MeshService* Find(const ObjectName& name) {
    const auto it = model_->services.find(name);
    return it == model_->services.end() ? nullptr : &it->second;
  }

  std::vector<const Service*> services_;
  std::vector<const EndpointSlice*> slices_;
  std::vector<const HttpRoute*> routes_;
  std::vector<const RetryPolicy*> retries_;
  std::vector<const LoadBalancingPolicy*> balancers_;
  std::vector<const TracingPolicy*> tracings_;
  std::vector<const FaultPolicy*> faults_;
  std::vector<const RateLimitPolicy*> rate_limits_;

  std::shared_ptr<Model> model_ = std::make_shared<Model>();
  std::map<ObjectName, bool> peer_services_;
  std::map<ObjectName, bool> ipv6_services_;  // whether their endpoints are the IPv6 ones
  std::map<ObjectName, std::shared_ptr<MeshRoute>> built_routes_;
  std::set<ObjectName> routes_with_policy_;
  std::set<ObjectName> routes_with_fault_;
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
    if (const auto* retry = std::get_if<RetryPolicy>(object.get())) retries_.push_back(retry);
    if (const auto* balancer = std::get_if<LoadBalancingPolicy>(object.get())) balancers_.push_back(balancer);
    if (const auto* tracing = std::get_if<TracingPolicy>(object.get())) tracings_.push_back(tracing);
    if (const auto* fault = std::get_if<FaultPolicy>(object.get())) faults_.push_back(fault);
    if (const auto* limit = std::get_if<RateLimitPolicy>(object.get())) rate_limits_.push_back(limit);
  }
  const auto older = [](const auto* a, const auto* b) {
    return std::tie(a->metadata.created, a->metadata.name) < std::tie(b->metadata.created, b->metadata.name);
  };
  std::sort(slices_.begin(), slices_.end(), older);
  std::sort(routes_.begin(), routes_.end(), older);
  std::sort(retries_.begin(), retries_.end(), older);
  std::sort(balancers_.begin(), balancers_.end(), older);
  std::sort(tracings_.begin(), tracings_.end(), older);
  std::sort(faults_.begin(), faults_.end(), older);
  std::sort(rate_limits_.begin(), rate_limits_.end(), older);
}

void Builder::AddService(const Service& service) {
  MeshService mesh{.name = service.metadata.name,
                   .ports = {},
                   .routes = {},
                   .retry = {},
                   .balancer = {},
                   .fault = {},
                   .rate_limit = {}};
  for (const ServicePort& port : service.ports) {
    if (port.protocol == AppProtocol::kNotHttp) continue;
    mesh.ports.push_back({port.name, port.port, port.protocol, {}});
  }
  peer_services_[mesh.name] = service.peer;
  model_->services.emplace(service.metadata.name, std::move(mesh));
}

// The pods of a dual-stack Service are in a slice of each family. A sidecar that reaches one family only
// would lose half of its requests, and no pod is meant to count twice.
void Builder::FindPreferredFamilies() {
  std::map<ObjectName, bool> found[2];
  for (const EndpointSlice* slice : slices_) {
    if (!slice->endpoints.empty()) found[slice->ipv6 ? 1 : 0][slice->service] = true;
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
  if (slice.ipv6 != ipv6_services_[slice.service]) return;
  const bool peer = slice.peer.value_or(peer_services_[slice.service]);
  for (MeshPort& port : service->ports) {
    for (const SlicePort& from : slice.ports) {
      if (from.name != port.name) continue;
      for (const SliceEndpoint& endpoint : slice.endpoints) {
        // While Kubernetes moves an endpoint between slices it is in both.
        const bool twice = std::any_of(port.endpoints.begin(), port.endpoints.end(), [&](const auto& other) {
          return other.ip == endpoint.ip && other.port == from.port;
        });
        if (!twice) port.endpoints.push_back({endpoint.ip, from.port, endpoint.health, peer, endpoint.zone});
      }
    }
  }
}

MeshBackend Builder::Resolve(const HttpRoute& route, const BackendRef& backend) {
  MeshBackend mesh{.service = backend.service,
                   .port = backend.port,
                   .weight = backend.weight,
                   .filters = backend.filters,
                   .valid = false};
  const bool own = backend.service.ns == route.metadata.name.ns;
  // A route may send what was addressed to a Service on to that Service; elsewhere it needs leave.
  const bool parent = std::any_of(route.parents.begin(), route.parents.end(),
                                  [&](const ParentRef& ref) { return ref.service == backend.service; });
  const MeshService* service = Find(backend.service);
  if (!own && !parent) {
    Report(route.metadata, backend.path,
           "expected a Service of this namespace: ReferenceGrant is not implemented yet");
  } else if (service == nullptr) {
    Report(route.metadata, backend.path, "expected a Service, there is no " + backend.service.ToString());
  } else if (service->FindPort(backend.port) == nullptr) {
    Report(route.metadata, config::FieldPath(backend.path, "port"),
           "expected an HTTP port of the Service, " + backend.service.ToString() + " has no " +
               std::to_string(backend.port));
  } else {
    mesh.valid = true;
  }
  return mesh;
}

void Builder::AddRoute(const HttpRoute& route) {
  auto mesh = std::make_shared<MeshRoute>();
  mesh->name = route.metadata.name;
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
        .fault = {}};
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
  built_routes_.emplace(mesh->name, std::move(mesh));
}

void Builder::AddRetry(const RetryPolicy& policy) {
  for (const Target& target : policy.targets) {
    const char* taken = "expected a target without a RetryPolicy, an older one is attached to it";
    if (target.kind == TargetKind::kService) {
      MeshService* service = Find(target.name);
      if (service == nullptr) {
        Report(policy.metadata, target.path, "expected a Service, there is no " + target.name.ToString());
      } else if (service->retry.has_value()) {
        Report(policy.metadata, target.path, taken);
      } else {
        service->retry = policy.rule;
      }
      continue;
    }
    const auto route = built_routes_.find(target.name);
    if (route == built_routes_.end()) {
      Report(policy.metadata, target.path, "expected an HTTPRoute, there is no " + target.name.ToString());
    } else if (!routes_with_policy_.insert(target.name).second) {
      Report(policy.metadata, target.path, taken);
    } else {
      for (MeshRule& rule : route->second->rules) {
        if (!rule.retry.has_value()) rule.retry = policy.rule;
      }
    }
  }
}

void Builder::AddBalancer(const LoadBalancingPolicy& policy) {
  for (const Target& target : policy.targets) {
    MeshService* service = Find(target.name);
    if (service == nullptr) {
      Report(policy.metadata, target.path, "expected a Service, there is no " + target.name.ToString());
    } else if (service->balancer.has_value()) {
      Report(policy.metadata, target.path,
             "expected a target without a LoadBalancingPolicy, an older one is attached to it");
    } else {
      service->balancer = policy.rule;
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

void Builder::AddFault(const FaultPolicy& policy) {
  const char* taken = "expected a target without a FaultPolicy, an older one is attached to it";
  for (const Target& target : policy.targets) {
    const bool of_service = target.kind == TargetKind::kService;
    MeshService* const service = of_service ? Find(target.name) : nullptr;
    const auto route = of_service ? built_routes_.end() : built_routes_.find(target.name);
    if (service == nullptr && route == built_routes_.end()) {
      Report(policy.metadata, target.path,
             std::string("expected ") + (of_service ? "a Service" : "an HTTPRoute") + ", there is no " +
                 target.name.ToString());
      continue;
    }
    const bool had = of_service ? service->fault.has_value() : !routes_with_fault_.insert(target.name).second;
    if (had) {
      Report(policy.metadata, target.path, taken);
      continue;
    }
    model_->any_faults = true;
    if (of_service) {
      service->fault = policy.rule;
    } else {
      for (MeshRule& rule : route->second->rules) rule.fault = policy.rule;
    }
  }
}

void Builder::AddRateLimit(const RateLimitPolicy& policy) {
  for (const Target& target : policy.targets) {
    MeshService* service = Find(target.name);
    if (service == nullptr) {
      Report(policy.metadata, target.path, "expected a Service, there is no " + target.name.ToString());
    } else if (service->rate_limit.has_value()) {
      Report(policy.metadata, target.path,
             "expected a target without a RateLimitPolicy, an older one is attached to it");
    } else {
      service->rate_limit = policy.rule;
    }
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
        service->routes.push_back({built_routes_.at(route->metadata.name), parent.port});
      }
    }
  }
}

}  // namespace

const MeshPort* MeshService::FindPort(uint16_t number) const {
  const auto it =
      std::find_if(ports.begin(), ports.end(), [&](const MeshPort& p) { return p.port == number; });
  return it == ports.end() ? nullptr : &*it;
}

const MeshService* Model::FindService(const ObjectName& name) const {
  const auto it = services.find(name);
  return it == services.end() ? nullptr : &it->second;
}

const MeshTracing* Model::TracingOf(const ObjectName& service) const {
  if (const auto it = tracing.find(service); it != tracing.end()) return &it->second;
  return mesh_wide_tracing.has_value() ? &*mesh_wide_tracing : nullptr;
}

BuiltModel BuildModel(const std::vector<std::shared_ptr<const Object>>& objects) {
  return Builder(objects).Build();
}

}  // namespace pillion::control
