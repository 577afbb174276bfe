#include "control-plane/snapshot/build.h"

#include <algorithm>
#include <utility>

#include "control-plane/snapshot/parts.h"
#include "control-plane/snapshot/token_store.h"
#include "control-plane/snapshot/tokens.h"
#include "sidecar/base/check.h"

namespace pillion::control {
namespace {

// What the local app speaks: what the Service says of the port whose endpoints are this sidecar's inbound
// address; without such endpoints, of its first port.
AppProtocol LocalProtocol(const MeshService* service, const LocalApp& local) {
  if (service == nullptr || service->ports.empty()) return AppProtocol::kHttp1;
  for (const MeshPort& port : service->ports) {
    for (const MeshEndpoint& endpoint : port.endpoints) {
      if (endpoint.port == local.inbound.port) return port.protocol;
    }
  }
  return service->ports.front().protocol;
}

std::vector<Reference> ClusterReferences(const std::set<std::string>& clusters) {
  std::vector<Reference> references;
  references.reserve(clusters.size());
  for (const std::string& name : clusters) references.push_back({ResourceType::kCluster, name});
  return references;
}

// `references`: but for those of tracing.
void AddListener(ResourceSet& set, const envoy::config::listener::v3::Listener& listener,
                 const MeshTracing* tracing, std::vector<Reference> references) {
  if (tracing != nullptr) {
    references.push_back(
        {ResourceType::kCluster, OutboundCluster(tracing->collector, tracing->collector_port)});
  }
  set.Add(ResourceType::kListener, listener.name(), listener, std::move(references));
}

void AddOutbound(ResourceSet& set, const Model& model, const NodeFacts& node, const SocketAddress& address,
                 const Stamped* stamped) {
  const MeshTracing* const tracing = model.TracingOf(node.service);
  std::vector<PortRoutes> ports = MakePortRoutes(model, node);
  if (stamped != nullptr) {
    for (PortRoutes& one : ports) PauseTokens(one.host, *stamped);
  }
  std::set<std::string> clusters;
  for (const PortRoutes& one : ports) clusters.insert(one.clusters.begin(), one.clusters.end());
  const auto routes = MakeOutboundRoutes(model, ports, node);
  set.Add(ResourceType::kRoutes, kOutbound, routes, ClusterReferences(clusters));
  std::vector<Reference> references = {{ResourceType::kRoutes, kOutbound}};
  auto listener = MakeOutboundListener(node, address, tracing, routes);
  if (node.interception == Interception::kRedirect) {
    set.Add(ResourceType::kCluster, kPassthrough, MakePassthroughCluster());
    references.push_back({ResourceType::kCluster, kPassthrough});
    SetCapture(listener, node);
    for (const PortRoutes& one : ports) {
      std::vector<std::string> ips = one.service->cluster_ips;
      // Who dials the listener itself does not mean a Service of that address.
      if (one.port->port == address.port) std::erase(ips, address.ip);
      if (ips.empty()) continue;
      const auto captured = MakeCapturedRoutes(model, one);
      set.Add(ResourceType::kRoutes, captured.name(), captured, ClusterReferences(one.clusters));
      references.push_back({ResourceType::kRoutes, captured.name()});
      AddCaptured(listener, node, tracing, ips, *one.port, captured);
    }
  }
  AddListener(set, listener, tracing, std::move(references));
}

void AddInbound(ResourceSet& set, const Model& model, const NodeFacts& node, const LocalApp& local) {
  const MeshService* const own = model.FindService(node.service);
  const std::string cluster = InboundCluster(node.service, local);
  set.Add(ResourceType::kCluster, cluster, MakeInboundCluster(cluster, local.app, LocalProtocol(own, local)));
  const RateLimitRule* const limit =
      own != nullptr && own->rate_limit.has_value() ? &*own->rate_limit : nullptr;
  set.Add(ResourceType::kRoutes, kInbound, MakeInboundRoutes(cluster, limit),
          {{ResourceType::kCluster, cluster}});
  std::vector<Reference> references = {{ResourceType::kRoutes, kInbound}};
  if (own != nullptr) {
    for (const auto& store : MakeStoreClusters(*own)) {
      set.Add(ResourceType::kCluster, store.name(), store);
      references.push_back({ResourceType::kCluster, store.name()});
    }
  }
  const MeshTracing* const tracing = model.TracingOf(node.service);
  AddListener(set, MakeInboundListener(node, local.inbound, tracing, limit != nullptr, own), tracing,
              std::move(references));
}

}  // namespace

Problem AsProblem(const OverrideRule& rule, const std::string& path, const std::string& error) {
  return rule.origin->At(path,
                         "expected what goes with the rest; it has no effect where it does not: " + error);
}

std::vector<Problem> ProblemsOfOverrides(const Model& model) {
  std::vector<Problem> problems;
  const bool any = std::ranges::any_of(model.services, [](const auto& one) {
    const auto of_rule = [](const MeshRule& rule) { return rule.override_.has_value(); };
    return one.second.override_.has_value() ||
           std::ranges::any_of(one.second.routes, [&](const Attachment& attachment) {
             return std::ranges::any_of(attachment.route->rules, of_rule);
           });
  });
  if (!any) return problems;
  for (const auto& [name, service] : model.services) {
    if (!service.override_.has_value()) continue;
    for (const MeshPort& port : service.ports) {
      MakeOutboundCluster(service, port, "", &problems);  // with endpoints that are names
      if (port.discovery == MeshPort::Discovery::kEndpoints) MakeEndpoints(service, port, "", &problems);
    }
  }
  // A route of another namespace counts for that one's clients.
  std::set<std::string> namespaces = {""};
  for (const auto& [name, service] : model.services) {
    for (const Attachment& attachment : service.routes) namespaces.insert(attachment.route->name.ns);
  }
  for (const std::string& ns : namespaces) {
    NodeFacts node;
    node.service.ns = ns;
    MakePortRoutes(model, node, &problems);
  }
  const auto shown = [](const Problem& problem) { return problem.ToString(); };
  std::ranges::sort(problems, {}, shown);
  const auto again = std::ranges::unique(problems, {}, shown);
  problems.erase(again.begin(), again.end());
  return problems;
}

std::shared_ptr<const ResourceSet> BuildSnapshot(const Model& model, const NodeFacts& node,
                                                 const Stamped* stamped) {
  auto set = std::make_shared<ResourceSet>();
  for (const auto& [name, service] : model.services) {
    for (const MeshPort& port : service.ports) {
      const std::string cluster = OutboundCluster(name, port.port);
      if (port.discovery != MeshPort::Discovery::kEndpoints) {  // they are in the cluster
        set->Add(ResourceType::kCluster, cluster, MakeOutboundCluster(service, port, node.zone));
        continue;
      }
      set->Add(ResourceType::kCluster, cluster, MakeOutboundCluster(service, port, node.zone),
               {{ResourceType::kEndpoints, cluster}});
      set->Add(ResourceType::kEndpoints, cluster, MakeEndpoints(service, port, node.zone));
    }
  }
  if (node.outbound.has_value()) AddOutbound(*set, model, node, *node.outbound, stamped);
  if (node.local.has_value()) AddInbound(*set, model, node, *node.local);
  set->Seal();
  PILLION_CHECK(set->DanglingReferences().empty());
  return set;
}

}  // namespace pillion::control
