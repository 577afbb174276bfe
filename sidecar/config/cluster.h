// Clusters and their endpoints as the data plane uses them: immutable and validated. Mutable endpoint state
// (load, health, pools) lives in worker tables, keyed by cluster name and address, and survives swaps.
#ifndef PILLION_SIDECAR_CONFIG_CLUSTER_H_
#define PILLION_SIDECAR_CONFIG_CLUSTER_H_

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/config/dns_options.h"
#include "sidecar/config/keep_alive.h"
#include "sidecar/config/tls.h"
#include "sidecar/net/address.h"

namespace pillion::config {

enum class UpstreamProtocol : uint8_t { kHttp1, kHttp2 };

// What the control plane says of an endpoint. A degraded one is chosen where no other is left, a draining or
// bad one when too few are left (Balancer::panic_percent); sessions may stay with a draining one.
enum class Health : uint8_t { kGood, kDegraded, kDraining, kBad };

// Some of them: a bit for each.
using HealthSet = uint8_t;
constexpr HealthSet BitOf(Health health) {
  return static_cast<HealthSet>(1u << static_cast<unsigned>(health));
}

// Where something runs. Two are the same place when all of it is.
struct Place {
  std::string region;
  std::string zone;
  std::string sub_zone;
  bool empty() const { return region.empty() && zone.empty() && sub_zone.empty(); }
  friend auto operator<=>(const Place&, const Place&) = default;
};

// Endpoints in one place, of one priority. 0 is the first choice.
struct Locality : Place {
  uint32_t priority = 0;
  uint32_t weight = 0;  // 0: none is said
};

// Labels that subsets are made of: metadata of `envoy.lb`, each value as text.
using Labels = std::map<std::string, std::string>;

// What a route, or a share of its requests, asks of endpoints' labels.
struct LabelMatch {
  Labels labels;
  std::string key;  // of them all, the same for the same labels
  static LabelMatch Of(Labels labels);
};

struct Endpoint {
  net::Address address;
  std::string hostname;          // "": none; for hashing and checks
  bool pillion_sidecar = false;  // metadata pillion.sidecar: true; HTTP/1 may be upgraded towards it
  Health health = Health::kGood;
  bool checked = true;  // by the cluster's health checks, if it has any
  uint32_t weight = 1;
  uint32_t locality = 0;    // in Assignment::localities
  uint16_t check_port = 0;  // 0: the check's, or its own
  std::string check_host;   // "": the check's
  Labels labels;
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
  std::vector<Locality> localities;  // none: all endpoints are in one, of priority 0
  std::vector<Endpoint> endpoints;
  uint32_t overprovisioning_percent = 140;
  // Of kStrictDns and kLogicalDns as configured; none in a snapshot, where `endpoints` has their addresses
  // too.
  std::vector<NamedEndpoint> names;
};

// A new endpoint, or one that is back, gets its share by and by.
struct SlowStart {
  std::chrono::nanoseconds window{0};
  double aggression = 1;  // the share grows with (elapsed / window) ^ (1 / aggression)
  double least = 0.1;     // of its weight
};

// Requests stay in the place of who sends them, as far as no endpoint gets more than its share of all
// requests.
struct ZoneAware {
  double percent = 100;          // of the requests; the others go anywhere
  uint64_t least_endpoints = 6;  // good ones; with fewer all requests go anywhere
  bool fails_in_panic = false;   // too few endpoints are usable: there is none
};

// Of the bootstrap: where this sidecar is, and the cluster that it and those like it are.
struct OwnPlace {
  Place place;
  std::string cluster;  // "": none; zones do not count
};

// How an endpoint is chosen.
struct Balancer {
  enum class Kind : uint8_t { kRoundRobin, kLeastRequest, kRandom, kPeakEwma, kRingHash, kMaglev };
  Kind kind = Kind::kRoundRobin;
  uint32_t choices = 2;  // kLeastRequest: drawn, of which the least busy is taken
  std::chrono::nanoseconds decay = std::chrono::seconds(10);  // kPeakEwma: after which a latency counts 1/e
  uint32_t table_size = 65537;                                // kMaglev: prime
  uint32_t least_ring = 1024;                                 // kRingHash: places on the ring, at least
  uint32_t most_ring = 8 * 1024 * 1024;
  bool hash_hostnames = false;  // instead of addresses
  // By hash: the most that an endpoint may have of what is under way, in percent of its share; 0: any load.
  uint32_t hash_balance_percent = 0;
  std::optional<SlowStart> slow_start = std::nullopt;
  bool hashes() const { return kind == Kind::kRingHash || kind == Kind::kMaglev; }
  bool localities_by_weight = false;  // first a locality, by their weights
  std::optional<ZoneAware> zone_aware = std::nullopt;
  double panic_percent = 50;  // of a priority's endpoints; with fewer usable all are used
};

// Of its attempts, what ejects an endpoint for a while. Percentages: 0 to 100; those named `enforce` are the
// chance that a finding ejects.
struct OutlierDetection {
  uint32_t server_errors = 5;  // one after the other; each 0: any number
  uint32_t gateway_failures = 5;
  uint32_t local_failures = 5;
  uint32_t enforce_server_errors = 100;
  uint32_t enforce_gateway_failures = 0;
  uint32_t enforce_local_failures = 100;
  std::chrono::nanoseconds interval = std::chrono::seconds(10);
  std::chrono::nanoseconds base_ejection = std::chrono::seconds(30);
  std::chrono::nanoseconds longest_ejection = std::chrono::seconds(300);
  std::chrono::nanoseconds jitter{0};
  uint32_t most_percent = 10;  // of the endpoints, ejected at a time
  bool always_one = false;
  uint32_t success_rate_hosts = 5;  // with so many requests, or nothing is found
  uint32_t success_rate_volume = 100;
  uint32_t success_rate_factor = 1900;  // thousandths of a standard deviation below the mean
  uint32_t enforce_success_rate = 100;
  uint32_t enforce_local_success_rate = 100;
  uint32_t failure_threshold = 85;
  uint32_t failure_hosts = 5;
  uint32_t failure_volume = 50;
  uint32_t enforce_failure = 0;
  uint32_t enforce_local_failure = 0;
  bool split_local = false;  // whether an endpoint can be reached is counted apart from what it answers
  bool checks_uneject = true;
};

// One active health check of a cluster's endpoints.
struct HealthCheck {
  enum class Kind : uint8_t { kHttp, kGrpc, kTcp };
  Kind kind = Kind::kHttp;
  std::chrono::nanoseconds timeout{0};
  std::chrono::nanoseconds interval{0};
  std::chrono::nanoseconds initial_jitter{0};
  std::chrono::nanoseconds jitter{0};
  uint32_t jitter_percent = 0;
  std::chrono::nanoseconds no_traffic_interval = std::chrono::seconds(60);
  std::chrono::nanoseconds unhealthy_interval{0};  // 0 of these: interval
  std::chrono::nanoseconds unhealthy_edge_interval{0};
  std::chrono::nanoseconds healthy_edge_interval{0};
  uint32_t unhealthy_threshold = 1;
  uint32_t healthy_threshold = 1;
  std::optional<uint16_t> alt_port;
  std::string host;  // kHttp, kGrpc: the authority; "": the cluster's name
  std::string path;
  std::string method = "GET";
  bool http2 = false;
  std::vector<std::pair<uint32_t, uint32_t>> expected;  // [from, to) of status codes
  std::vector<std::pair<uint32_t, uint32_t>> retriable;
  std::string service;               // kGrpc
  std::string send;                  // kTcp
  std::vector<std::string> receive;  // kTcp: in this order, what is between them counts not
};

// Which endpoints a route's labels choose.
struct Subsets {
  enum class Fallback : uint8_t { kNone, kAny, kDefault };
  struct Selector {
    std::vector<std::string> keys;  // sorted
    std::optional<Fallback> fallback;
  };
  Fallback fallback = Fallback::kNone;
  Labels default_labels;
  std::vector<Selector> selectors;
};

// kOriginalDestination: which address is called.
struct OriginalDestination {
  std::string field;             // of a request; it may name another than the client dialled. "": none
  std::optional<uint16_t> port;  // in the place of the address's own
  // An address that nobody has called for so long, twice that at most, is forgotten.
  std::chrono::nanoseconds forget_after = std::chrono::seconds(5);

  // nullopt: nobody can be called there.
  std::optional<net::Address> Of(const net::Address& dialled) const {
    const net::Address address = port ? dialled.WithPort(*port) : dialled;
    return address.names_one() ? std::optional(address) : std::nullopt;
  }
};

// How much may be under way at once, all workers together.
struct CircuitLimits {
  static constexpr uint32_t kUnlimited = UINT32_MAX;
  uint32_t connections = 1024;
  uint32_t endpoint_connections = kUnlimited;  // to one endpoint, made for whichever priority
  uint32_t pending = 1024;                     // requests that wait for a connection
  uint32_t requests = 1024;
  uint32_t retries = kUnlimited;  // the budget is what bounds them
};

// Of a cluster's requests, what share may be retries, and how many there may be in any case.
struct RetryBudget {
  double share = 0.1;
  double per_second = 3;
};

struct Cluster {
  enum class Discovery : uint8_t { kStatic, kEds, kStrictDns, kLogicalDns, kOriginalDestination };
  std::string name;
  std::string version;
  Discovery discovery = Discovery::kStatic;
  std::string eds_name;  // kEds: the assignment to wait for; never ""
  // kEds: warming waits this long for the assignment, then the cluster has no endpoints; 0: for ever.
  std::chrono::nanoseconds eds_timeout = std::chrono::seconds(15);
  // But for kEds: never null. kOriginalDestination: of no endpoint.
  std::shared_ptr<const Assignment> load_assignment;
  std::optional<OriginalDestination> original_destination;  // kOriginalDestination, and only there
  DnsOptions dns;                                           // kStrictDns and kLogicalDns
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
  // To an endpoint with traffic there is room for so many thousandths of its requests. 1000: connections are
  // made when they are needed.
  uint32_t preconnect_permille = 1000;
  Balancer balancer;
  RetryBudget retry_budget;
  std::array<CircuitLimits, 2> circuits;  // by RoutingPriority
  std::optional<OutlierDetection> outlier;
  std::vector<HealthCheck> health_checks;
  std::optional<Subsets> subsets;
  // A session stays with its endpoint while that is one of these.
  HealthSet session_health = BitOf(Health::kGood) | BitOf(Health::kDegraded);
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
