// The parts of a snapshot; used by build.cc only.
#ifndef PILLION_CONTROL_PLANE_SNAPSHOT_PARTS_H_
#define PILLION_CONTROL_PLANE_SNAPSHOT_PARTS_H_

#include <set>
#include <string>
#include <vector>

#include "control-plane/model/model.h"
#include "control-plane/snapshot/node_facts.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "google/protobuf/duration.pb.h"

namespace pillion::control {

inline constexpr char kOutbound[] = "outbound";
inline constexpr const char* kInbound = kInboundListener;
// Takes the share of requests whose backend is not valid. There is no such cluster: 500, of calls
// UNAVAILABLE.
inline constexpr char kInvalidBackend[] = "invalid-backend";
// Where clients dialled, whoever that is.
inline constexpr char kPassthrough[] = "passthrough";

// "orders.default.svc.cluster.local"
std::string FullName(const ObjectName& service);
std::string OutboundCluster(const ObjectName& service, uint16_t port);
std::string InboundCluster(const ObjectName& service, const LocalApp& local);
inline void SetDuration(google::protobuf::Duration* to, std::chrono::milliseconds from) {
  to->set_seconds(from.count() / 1000);
  to->set_nanos(static_cast<int32_t>(from.count() % 1000 * 1'000'000));
}

// An override has no effect, because a sidecar would not take what came of it.
Problem AsProblem(const OverrideRule& rule, const std::string& path, const std::string& error);

// `zone`: the node's, "" when it is not known. `problems`: of overrides; may be null.
envoy::config::cluster::v3::Cluster MakeOutboundCluster(const MeshService& service, const MeshPort& port,
                                                        const std::string& zone,
                                                        std::vector<Problem>* problems = nullptr);
envoy::config::endpoint::v3::ClusterLoadAssignment MakeEndpoints(const MeshService& service,
                                                                 const MeshPort& port,
                                                                 const std::string& zone,
                                                                 std::vector<Problem>* problems = nullptr);
// kPassthrough.
envoy::config::cluster::v3::Cluster MakePassthroughCluster();
// `name`: InboundCluster.
envoy::config::cluster::v3::Cluster MakeInboundCluster(const std::string& name, const SocketAddress& app,
                                                       AppProtocol protocol);

// What becomes of requests to one port of a Service, whichever way they are known to be for it.
struct PortRoutes {
  const MeshService* service = nullptr;
  const MeshPort* port = nullptr;
  envoy::config::route::v3::VirtualHost host;  // without domains
  std::set<std::string> clusters;              // that they use
};
// `problems`: of overrides; may be null.
std::vector<PortRoutes> MakePortRoutes(const Model& model, const NodeFacts& node,
                                       std::vector<Problem>* problems = nullptr);
// Of all ports, told apart by Host.
envoy::config::route::v3::RouteConfiguration MakeOutboundRoutes(const Model& model,
                                                                const std::vector<PortRoutes>& ports,
                                                                const NodeFacts& node);
// Of one, whatever the Host says; named as its cluster.
envoy::config::route::v3::RouteConfiguration MakeCapturedRoutes(const Model& model, const PortRoutes& port);
// `limit` null: none.
envoy::config::route::v3::RouteConfiguration MakeInboundRoutes(const std::string& cluster,
                                                               const RateLimitRule* limit);

// With the filters that its routes say something of. One more changes the listener: its connections drain.
envoy::config::listener::v3::Listener MakeOutboundListener(
    const NodeFacts& node, const SocketAddress& address, const MeshTracing* tracing,
    const envoy::config::route::v3::RouteConfiguration& routes);
// What its clients dialled before the kernel redirected them decides: who dialled the listener itself is
// served by what it has, the rest is kPassthrough's and that of each Service (AddCaptured), which are told
// from the address that clients know it under.
void SetCapture(envoy::config::listener::v3::Listener& listener, const NodeFacts& node);
void AddCaptured(envoy::config::listener::v3::Listener& listener, const NodeFacts& node,
                 const MeshTracing* tracing, const std::vector<std::string>& ips, const MeshPort& port,
                 const envoy::config::route::v3::RouteConfiguration& routes);
// `own`: the Service whose requests come in by it; null: it is not known.
envoy::config::listener::v3::Listener MakeInboundListener(const NodeFacts& node, const SocketAddress& address,
                                                          const MeshTracing* tracing, bool limits,
                                                          const MeshService* own);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SNAPSHOT_PARTS_H_
