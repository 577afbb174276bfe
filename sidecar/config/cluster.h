// Clusters and their endpoints as the data plane uses them: immutable and validated. Mutable endpoint state
// (load, health, pools) lives in worker tables, keyed by cluster name and address, and survives swaps.
#ifndef PILLION_SIDECAR_CONFIG_CLUSTER_H_
#define PILLION_SIDECAR_CONFIG_CLUSTER_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/config/dns_options.h"
#include "sidecar/config/keep_alive.h"
#include "sidecar/config/tls.h"
#include "sidecar/net/address.h"

namespace pillion::config {

enum class UpstreamProtocol : uint8_t { kHttp1, kHttp2 };

struct Endpoint {
  net::Address address;
  bool pillion_sidecar = false;  // metadata pillion.sidecar: true; HTTP/1 may be upgraded towards it
  bool usable = true;            // health UNKNOWN or HEALTHY; others get no new requests
  uint32_t weight = 1;
  std::string zone;  // locality, for logs
};

// A host name, each of whose addresses is an endpoint.
struct NamedEndpoint {
  std::string host;
  uint16_t port = 0;
  Endpoint endpoint;  // what each address gets; its own address is none
};

// One ClusterLoadAssignment.
struct Assignment {
  std::string name;  // cluster name or eds service name
  std::string version;
  std::vector<Endpoint> endpoints;
  // Of kStrictDns and kLogicalDns as configured; none in a snapshot, where `endpoints` has their addresses
  // too.
  std::vector<NamedEndpoint> names;
};

// How an endpoint is chosen.
struct Balancer {
  enum class Kind : uint8_t { kRoundRobin, kLeastRequest, kRandom };
  Kind kind = Kind::kRoundRobin;
  uint32_t choices = 2;  // kLeastRequest: drawn, of which the least busy is taken
};

// Of a cluster's requests, what share may be retries, and how many there may be in any case.
struct RetryBudget {
  double share = 0.1;
  double per_second = 3;
};

struct Cluster {
  enum class Discovery : uint8_t { kStatic, kEds, kStrictDns, kLogicalDns };
  std::string name;
  std::string version;
  Discovery discovery = Discovery::kStatic;
  std::string eds_name;  // kEds: the assignment to wait for; never ""
  // kEds: warming waits this long for the assignment, then the cluster has no endpoints; 0: for ever.
  std::chrono::nanoseconds eds_timeout = std::chrono::seconds(15);
  std::shared_ptr<const Assignment> load_assignment;  // but for kEds: never null
  DnsOptions dns;                                     // kStrictDns and kLogicalDns
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds(5);
  // HTTP/2 only: a peer that answers nothing at all, not even the kernel's probes, or reads nothing, is given
  // up after this time; unset: after half a minute.
  std::optional<std::chrono::nanoseconds> silent_peer_timeout;
  UpstreamProtocol protocol = UpstreamProtocol::kHttp1;
  std::shared_ptr<const ClientTls> tls;  // null: plain text
  // Version of the PROXY protocol header that each connection begins with, before TLS. Not with HTTP/2.
  std::optional<uint8_t> proxy_protocol;
  std::chrono::nanoseconds idle_timeout = std::chrono::hours(1);  // of pooled connections; 0: none
  // HTTP/2 only: what we accept of the peer, and how many streams we put on one connection at most.
  uint32_t max_concurrent_streams = 1024;
  uint32_t stream_window_bytes = 256 * 1024;
  uint32_t max_requests_per_connection = 0;  // 0: no limit
  std::optional<KeepAlive> keep_alive;
  Balancer balancer;
  RetryBudget retry_budget;
};

// By name of cluster, of those by DNS: the endpoints that their names have now. One that is not here has
// names that were never resolved.
using ResolvedEndpoints = std::map<std::string, std::shared_ptr<const Assignment>, std::less<>>;

inline bool IsByDns(const Cluster& cluster) {
  return cluster.discovery == Cluster::Discovery::kStrictDns ||
         cluster.discovery == Cluster::Discovery::kLogicalDns;
}

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_CLUSTER_H_
