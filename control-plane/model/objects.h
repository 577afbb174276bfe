// What users write, checked and in our own types: each object by itself, references not yet looked up.
#ifndef PILLION_CONTROL_PLANE_MODEL_OBJECTS_H_
#define PILLION_CONTROL_PLANE_MODEL_OBJECTS_H_

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "control-plane/model/origin.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "sidecar/net/cidr_range.h"

namespace envoy::config::cluster::v3 {
class Cluster;
}
namespace envoy::config::route::v3 {
class Route;
class RouteConfiguration;
class VirtualHost;
}  // namespace envoy::config::route::v3

namespace pillion::control {

struct ObjectName {
  std::string ns;
  std::string name;
  auto operator<=>(const ObjectName&) const = default;
  std::string ToString() const { return ns + "/" + name; }
};

// What every kind has.
struct Metadata {
  ObjectName name;
  // Seconds since 1970; max when the object does not say: it then counts as the youngest.
  int64_t created = 0;
  std::shared_ptr<const Origin> origin;
};

enum class AppProtocol : uint8_t {
  kHttp1,
  kHttp2,
  kNotHttp,  // stays out of the mesh
};

struct ServicePort {
  std::string name;
  uint16_t port = 0;
  AppProtocol protocol = AppProtocol::kHttp1;
  bool guessed = false;  // the object does not say
};

struct Service {
  Metadata metadata;
  bool peer = false;  // Pillion sidecars listen at its endpoints
  bool prefers_ipv6 = false;
  std::string external_name;  // "": it has endpoints
  std::vector<std::string> cluster_ips;
  std::vector<ServicePort> ports;  // TCP ones
};

enum class Health : uint8_t { kReady, kDraining, kNotReady };

struct SliceEndpoint {
  std::string host;  // an IP address, or in a slice of kNames a DNS name
  Health health = Health::kReady;
  std::string zone;
};

struct SlicePort {
  std::string name;
  uint16_t port = 0;
};

struct EndpointSlice {
  enum class Type : uint8_t { kIpv4, kIpv6, kNames };
  Metadata metadata;
  ObjectName service;
  std::optional<bool> peer;  // overrides the Service's
  Type type = Type::kIpv4;
  std::vector<SlicePort> ports;
  std::vector<SliceEndpoint> endpoints;
};

struct PathMatch {
  enum class Kind : uint8_t { kExact, kRegex, kElementPrefix, kPrefix };
  Kind kind = Kind::kElementPrefix;
  std::string path = "/";
};

// Of a header or a query parameter.
struct NamedValueMatch {
  std::string name;  // of a header: lower case
  bool regex = false;
  std::string value;
};

// How much of a gRPC method's name a match says, in characters.
struct MethodLengths {
  size_t service = 0;
  size_t method = 0;
  // Of expressions, which count after what is said as it is.
  size_t service_regex = 0;
  size_t method_regex = 0;
  auto operator<=>(const MethodLengths&) const = default;
};

struct HttpMatch {
  PathMatch path;
  std::vector<NamedValueMatch> headers;
  std::vector<NamedValueMatch> query;
  std::string method;  // "": any
  MethodLengths grpc;  // of GRPCRoutes, whose services and methods are paths
};

struct NamedValue {
  std::string name;  // lower case
  std::string value;
};

// What becomes of the fields of a message; no name is in two of the lists.
struct HeaderModifier {
  std::vector<NamedValue> set;
  std::vector<NamedValue> add;
  std::vector<std::string> remove;
  bool empty() const { return set.empty() && add.empty() && remove.empty(); }
};

struct PathModifier {
  bool prefix = false;  // what the match's prefix names is replaced, else the whole path
  std::string path;     // without a '/' at its end, but for "/"
};

struct RedirectRule {
  uint32_t status = 302;
  std::string scheme;    // "": the request's
  std::string hostname;  // likewise
  std::optional<uint16_t> port;
  std::optional<PathModifier> path;
};

struct RewriteRule {
  std::string hostname;  // "": stays
  std::optional<PathModifier> path;
};

struct CorsOrigin {
  // As browsers spell it: lower case, without a port that is the scheme's. `*`: all.
  std::string text;
  bool any_host = false;  // a `*` in it stands for labels
};

struct CorsRule {
  std::vector<CorsOrigin> origins;  // never empty
  std::vector<std::string> methods;
  std::vector<std::string> headers;  // lower case, as the next
  std::vector<std::string> exposed;
  bool credentials = false;
  uint32_t max_age_s = 5;
};

// A copy of requests goes to this Service too.
struct MirrorRule {
  ObjectName service;  // without a namespace: the route's
  uint16_t port = 0;
  uint32_t millionths = 1'000'000;  // of the requests
  std::string path;                 // in the document
};

// An answer without a backend.
struct DirectAnswer {
  uint32_t status = 200;
  std::string body;
};

// Of an object in the route's namespace.
struct NamedObject {
  std::string name;
  std::string path;  // in the document
};

// What a rule, or a backend of it, makes of messages.
struct HttpFilters {
  HeaderModifier request;
  HeaderModifier response;
  std::optional<RedirectRule> redirect;  // of rules only, as the next
  std::optional<RewriteRule> rewrite;
  std::optional<CorsRule> cors;
  std::vector<MirrorRule> mirrors;    // of rules only, as the next
  std::optional<NamedObject> direct;  // a DirectResponse
};

struct BackendRef {
  ObjectName service;
  uint16_t port = 0;
  uint32_t weight = 1;
  HttpFilters filters;
  std::string path;  // in the document
};

struct RetryBudgetRule {
  double percent = 10;
  uint32_t per_second = 3;
};

// When another attempt is made beside one that has not answered.
struct HedgeRule {
  double percentile = 0;  // of the route's last attempts; 0: not for that reason
  std::chrono::milliseconds at_least{0};
  bool on_per_try_timeout = false;
};

struct RetryRule {
  uint32_t attempts = 1;              // retries after the first attempt
  std::vector<std::string> retry_on;  // xDS names
  std::vector<uint32_t> codes;
  std::vector<NamedValue> headers;               // of answers; an empty value: any
  bool idempotent = false;                       // whatever the method
  std::vector<std::string> idempotent_methods;   // of gRPC: paths
  std::chrono::milliseconds per_try_timeout{0};  // 0: none
  std::chrono::milliseconds per_try_idle_timeout{0};
  std::chrono::milliseconds max_retry_after{0};  // 0: the longest back-off
  std::optional<RetryBudgetRule> budget;         // of policies on Services
  HedgeRule hedge;
  std::chrono::milliseconds backoff_base{25};
  std::chrono::milliseconds backoff_max{250};
};

// The requests of one client stay with one endpoint.
struct SessionRule {
  std::string name;                       // of the cookie or the header; "": one of the rule's own
  bool header = false;                    // the name is a header's, in lower case
  std::chrono::milliseconds lifetime{0};  // of a cookie; 0: until its client ends
};

struct HttpRule {
  std::string name;
  std::vector<HttpMatch> matches;  // never empty
  HttpFilters filters;
  std::vector<BackendRef> backends;
  std::chrono::milliseconds request_timeout{0};  // 0: none
  std::chrono::milliseconds backend_request_timeout{0};
  std::optional<RetryRule> retry;
  std::optional<SessionRule> session = std::nullopt;
};

struct ParentRef {
  ObjectName service;
  std::optional<uint16_t> port;  // absent: all
  std::string path;
};

enum class RouteKind : uint8_t { kHttp, kGrpc };

struct HttpRoute {
  Metadata metadata;
  RouteKind kind = RouteKind::kHttp;
  std::vector<ParentRef> parents;
  std::vector<HttpRule> rules;
};

// Once read there is no other difference: calls are requests whose paths name methods.
struct GrpcRoute : HttpRoute {};

// Routes of those kinds and namespaces may name those Services of its own namespace.
struct ReferenceGrant {
  struct From {
    RouteKind kind = RouteKind::kHttp;
    std::string ns;
  };
  Metadata metadata;
  std::vector<From> from;
  bool all_services = false;
  std::vector<std::string> services;
};

enum class TargetKind : uint8_t { kService, kHttpRoute, kGrpcRoute };

struct Target {
  TargetKind kind = TargetKind::kService;
  ObjectName name;
  std::string path;
};

struct RetryPolicy {
  Metadata metadata;
  std::vector<Target> targets;
  RetryRule rule;
};

struct HashRule {
  enum class Kind : uint8_t { kHeader, kCookie, kSourceIp, kQuery };
  Kind kind = Kind::kHeader;
  std::string name;
  std::optional<std::chrono::milliseconds> ttl;  // kCookie: of one that is given
  std::string path;
};

struct BalancerRule {
  enum class Kind : uint8_t { kRoundRobin, kLeastRequest, kRandom, kPeakEwma, kRingHash, kMaglev };
  Kind kind = Kind::kRoundRobin;
  uint32_t choices = 2;                     // kLeastRequest
  std::vector<HashRule> hash_on;            // kRingHash, kMaglev
  uint32_t hash_load_percent = 0;           // likewise; 0: no limit
  std::chrono::milliseconds slow_start{0};  // 0: none
  bool prefer_same_zone = false;
  double panic_percent = 0;
  uint32_t preconnect_percent = 100;
  std::map<std::string, uint32_t> zone_weights;  // empty: requests do not look at zones
};

// Unset: no limit.
struct CircuitRule {
  std::optional<uint32_t> connections;
  std::optional<uint32_t> endpoint_connections;  // to each
  std::optional<uint32_t> pending;
  std::optional<uint32_t> requests;
  std::optional<uint32_t> retries;
  std::optional<std::chrono::milliseconds> connect_timeout;  // unset: the default
};

// Of what comes in an interval, and of how many, there is enough to compare.
struct EnoughRule {
  uint32_t requests = 0;
  uint32_t endpoints = 5;
};

struct OutlierRule {
  uint32_t errors = 5;
  uint32_t gateway_errors = 0;
  std::chrono::milliseconds interval{10'000};
  std::chrono::milliseconds ejection{30'000};
  std::chrono::milliseconds longest_ejection{300'000};  // or `ejection`, if that is more
  uint32_t most_percent = 50;
  double success_deviations = 1.9;  // 0: not compared
  EnoughRule success_enough = {.requests = 100};
  uint32_t failure_percent = 0;  // 0: nobody is ejected for it
  EnoughRule failure_enough = {.requests = 50};
};

struct HealthCheckRule {
  enum class Kind : uint8_t { kHttp, kGrpc, kTcp };
  Kind kind = Kind::kHttp;
  std::string path;
  std::string host;                // "": the Service's
  std::string method;              // kHttp
  std::vector<uint16_t> statuses;  // likewise; empty: 200
  std::string service;             // kGrpc
  std::chrono::milliseconds interval{10'000};
  std::chrono::milliseconds timeout{1'000};
  uint32_t unhealthy_threshold = 3;
  uint32_t healthy_threshold = 2;
  std::optional<uint16_t> port;
};

struct HealthRule {
  std::optional<OutlierRule> outlier;
  std::optional<HealthCheckRule> check;
};

struct LoadBalancingPolicy {
  Metadata metadata;
  std::vector<Target> targets;  // Services
  BalancerRule rule;
};

struct CircuitBreakerPolicy {
  Metadata metadata;
  std::vector<Target> targets;  // Services
  CircuitRule rule;
};

struct HealthPolicy {
  Metadata metadata;
  std::vector<Target> targets;  // Services
  HealthRule rule;
};

struct FaultDelay {
  std::chrono::milliseconds time{0};
  uint32_t millionths = 1'000'000;  // of the requests
};

struct FaultAbort {
  uint32_t status = 0;
  bool grpc = false;
  uint32_t millionths = 1'000'000;
};

struct FaultRule {
  std::optional<FaultDelay> delay;
  std::optional<FaultAbort> abort;
  std::vector<NamedValue> headers;  // of requests; an empty value: any
  std::optional<uint32_t> max_active;
};

struct FaultPolicy {
  Metadata metadata;
  std::vector<Target> targets;
  FaultRule rule;
};

struct RateRule {
  uint32_t requests = 0;
  std::chrono::milliseconds per{0};
  uint32_t burst = 0;
};

struct ClientRateRule {
  enum class By : uint8_t { kAddress, kHeader, kIdentity };
  By by = By::kAddress;
  std::string header;
  RateRule rate;
};

struct RateLimitRule {
  RateRule all;
  std::vector<ClientRateRule> clients;
  bool report_only = false;
};

struct RateLimitPolicy {
  Metadata metadata;
  std::vector<Target> targets;
  RateLimitRule rule;
};

// Who names requests (IdempotencyPolicySpec.KeySource).
enum class KeySource : uint8_t { kMint, kApp, kAppOrMint, kPassthrough };

struct StoreAddress {
  std::string host;  // an IP address in its canonical spelling, or a DNS name in lower case
  uint16_t port = 0;
  bool is_name = false;
  auto operator<=>(const StoreAddress&) const = default;
};

struct StoreTls {
  std::string ca_file;
  std::string certificate_file;  // "": none, as the next
  std::string private_key_file;
  std::string server_name;  // "": one of the hosts
  bool operator==(const StoreTls&) const = default;
};

// Where records are that all pods of a Service share. Files are the sidecars'. What is not said is the
// sidecar's default.
struct TokenStoreRule {
  std::vector<StoreAddress> addresses;  // never empty, none twice
  std::optional<StoreTls> tls;
  std::string user;           // "": the server's default, as the next
  std::string password_file;  // never "" with a user
  std::string key_file;       // "": the key is made of the control plane's
  std::optional<std::chrono::milliseconds> lease;
  std::optional<uint32_t> replicas;
  std::optional<std::chrono::milliseconds> replica_wait;
  std::optional<std::chrono::milliseconds> unconfirmed_doubt;
  bool bypass = false;  // when it is down
  bool trust_unseen_settings = false;
  bool operator==(const TokenStoreRule&) const = default;
};

// The end user that requests with a key must prove to be.
struct KeyPrincipalRule {
  std::string claim = "sub";
  std::string issuer;
  std::vector<std::string> audiences;
  std::string jwks;       // one of the two is ""
  std::string jwks_file;  // at the sidecars
  bool operator==(const KeyPrincipalRule&) const = default;
};

// Of a Service, or a route, whose requests run at most once. What is not said is the sidecar's default.
struct TokenRule {
  KeySource key_source = KeySource::kMint;
  bool require = false;
  std::optional<std::chrono::milliseconds> app_validity;
  std::optional<KeyPrincipalRule> principal;
  // Keys count, and sidecars keep records of them.
  bool keeps_keys() const { return key_source == KeySource::kApp || key_source == KeySource::kAppOrMint; }
  bool has_domain() const { return key_source != KeySource::kPassthrough; }
  std::optional<TokenStoreRule> store;  // mode Shared
  bool keys_of_one_process() const { return keeps_keys() && !store.has_value(); }
  std::vector<std::string> methods;
  std::vector<std::string> grpc_methods;  // paths
  std::optional<std::chrono::milliseconds> validity;
  std::optional<std::chrono::milliseconds> max_execution;
  bool conflict = false;
  bool tombstone = false;
  bool reexecutes = false;            // what nobody knows
  bool compares_key_contents = true;  // of requests with the same key
  std::vector<uint32_t> release_on;
  std::optional<uint32_t> unknown_status;
  std::optional<uint32_t> request_bytes;
  std::optional<uint32_t> response_bytes;
  std::optional<uint32_t> waiters;
  std::optional<uint32_t> records;
  std::optional<uint64_t> bytes;
  std::optional<uint32_t> retries;
  bool operator==(const TokenRule&) const = default;
};

struct IdempotencyPolicy {
  Metadata metadata;
  std::vector<Target> targets;
  TokenRule rule;
};

// Of some endpoints of a Service.
struct EndpointOverride {
  bool any_zone = true;
  std::vector<std::string> zones;
  bool any_address = true;
  std::vector<net::CidrRange> ranges;
  std::vector<std::string> names;  // DNS names
  envoy::config::endpoint::v3::LocalityLbEndpoints locality;
  envoy::config::endpoint::v3::LbEndpoint endpoint;

  // `host`: an IP address or a DNS name.
  bool IsOf(const std::string& host, const std::string& zone) const;
};

struct AssignmentOverride {
  envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
  std::vector<EndpointOverride> endpoints;
};

// In Envoy's words; immutable. A member that is null changes nothing.
struct OverrideRule {
  std::shared_ptr<const Origin> origin;  // of the document, for problems
  std::shared_ptr<const envoy::config::cluster::v3::Cluster> cluster;
  std::shared_ptr<const envoy::config::route::v3::Route> route;
  std::shared_ptr<const envoy::config::route::v3::VirtualHost> host;
  std::shared_ptr<const AssignmentOverride> assignment;
  std::shared_ptr<const envoy::config::route::v3::RouteConfiguration> table;
};

struct XdsOverride {
  Metadata metadata;
  std::vector<Target> targets;  // none: the whole mesh
  OverrideRule rule;
};

struct DirectResponse {
  Metadata metadata;
  DirectAnswer answer;
};

struct TracingPolicy {
  Metadata metadata;
  std::vector<Target> targets;  // Services; none: the whole mesh
  ObjectName collector;
  uint16_t collector_port = 0;
  double sampling_percent = 100;
};

using Object = std::variant<Service, EndpointSlice, HttpRoute, GrpcRoute, ReferenceGrant, RetryPolicy,
                            LoadBalancingPolicy, CircuitBreakerPolicy, HealthPolicy, TracingPolicy,
                            FaultPolicy, RateLimitPolicy, DirectResponse, XdsOverride, IdempotencyPolicy>;

inline const Metadata& MetadataOf(const Object& object) {
  return std::visit([](const auto& o) -> const Metadata& { return o.metadata; }, object);
}
// "Service", "HTTPRoute", ...
std::string_view KindOf(const Object& object);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_MODEL_OBJECTS_H_
