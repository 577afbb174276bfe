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
};

struct Service {
  Metadata metadata;
  bool peer = false;  // Pillion sidecars listen at its endpoints
  bool prefers_ipv6 = false;
  // TCP ports; of an ExternalName service none.
  std::vector<ServicePort> ports;
};

enum class Health : uint8_t { kReady, kDraining, kNotReady };

struct SliceEndpoint {
  std::string ip;
  Health health = Health::kReady;
  std::string zone;
};

struct SlicePort {
  std::string name;
  uint16_t port = 0;
};

struct EndpointSlice {
  Metadata metadata;
  ObjectName service;
  std::optional<bool> peer;  // overrides the Service's
  bool ipv6 = false;
  std::vector<SlicePort> ports;
  std::vector<SliceEndpoint> endpoints;
};

struct PathMatch {
  enum class Kind : uint8_t { kExact, kRegex, kElementPrefix };
  Kind kind = Kind::kElementPrefix;
  std::string path = "/";
};

// Of a header or a query parameter.
struct NamedValueMatch {
  std::string name;  // of a header: lower case
  bool regex = false;
  std::string value;
};

struct HttpMatch {
  PathMatch path;
  std::vector<NamedValueMatch> headers;
  std::vector<NamedValueMatch> query;
  std::string method;  // "": any
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

// A copy of requests goes to this Service too.
struct MirrorRule {
  ObjectName service;  // without a namespace: the route's
  uint16_t port = 0;
  uint32_t millionths = 1'000'000;  // of the requests
  std::string path;                 // in the document
};

// What a rule, or a backend of it, makes of messages.
struct HttpFilters {
  HeaderModifier request;
  HeaderModifier response;
  std::optional<RedirectRule> redirect;  // of rules only, as the next
  std::optional<RewriteRule> rewrite;
  std::vector<MirrorRule> mirrors;  // of rules only
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

struct RetryRule {
  uint32_t attempts = 1;              // retries after the first attempt
  std::vector<std::string> retry_on;  // xDS names
  std::vector<uint32_t> codes;
  std::vector<NamedValue> headers;               // of answers; an empty value: any
  bool idempotent = false;                       // whatever the method
  std::chrono::milliseconds per_try_timeout{0};  // 0: none
  std::chrono::milliseconds per_try_idle_timeout{0};
  std::chrono::milliseconds max_retry_after{0};  // 0: the longest back-off
  std::optional<RetryBudgetRule> budget;         // of policies on Services
  std::chrono::milliseconds backoff_base{25};
  std::chrono::milliseconds backoff_max{250};
};

struct HttpRule {
  std::string name;
  std::vector<HttpMatch> matches;  // never empty
  HttpFilters filters;
  std::vector<BackendRef> backends;
  std::chrono::milliseconds request_timeout{0};  // 0: none
  std::chrono::milliseconds backend_request_timeout{0};
  std::optional<RetryRule> retry;
};

struct ParentRef {
  ObjectName service;
  std::optional<uint16_t> port;  // absent: all
  std::string path;
};

struct HttpRoute {
  Metadata metadata;
  std::vector<ParentRef> parents;
  std::vector<HttpRule> rules;
};

enum class TargetKind : uint8_t { kService, kHttpRoute };

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

struct BalancerRule {
  enum class Kind : uint8_t { kRoundRobin, kLeastRequest, kRandom };
  Kind kind = Kind::kRoundRobin;
  uint32_t choices = 2;  // kLeastRequest
};

struct LoadBalancingPolicy {
  Metadata metadata;
  std::vector<Target> targets;  // Services
  BalancerRule rule;
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
  std::vector<Target> targets;  // Services
  RateLimitRule rule;
};

struct TracingPolicy {
  Metadata metadata;
  std::vector<Target> targets;  // Services; none: the whole mesh
  ObjectName collector;
  uint16_t collector_port = 0;
  double sampling_percent = 100;
};

using Object = std::variant<Service, EndpointSlice, HttpRoute, RetryPolicy, LoadBalancingPolicy,
                            TracingPolicy, FaultPolicy, RateLimitPolicy>;

inline const Metadata& MetadataOf(const Object& object) {
  return std::visit([](const auto& o) -> const Metadata& { return o.metadata; }, object);
}
// "Service", "HTTPRoute", ...
std::string_view KindOf(const Object& object);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_MODEL_OBJECTS_H_
