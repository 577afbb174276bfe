// Routes as the data plane uses them: immutable, validated, ready to be matched.
// Built by config's parsers from envoy.config.route.v3; read by route/ and exchange/ on any thread.
#ifndef PILLION_SIDECAR_CONFIG_ROUTE_TABLE_H_
#define PILLION_SIDECAR_CONFIG_ROUTE_TABLE_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/config/cluster.h"
#include "sidecar/config/header_edits.h"
#include "sidecar/http/head.h"

namespace re2 {
class RE2;
}

namespace pillion::config {

struct FilterEntry;  // filters.h

// How one text is compared.
struct StringMatch {
  enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kContains, kRegex };
  Kind kind = Kind::kExact;
  std::string text;
  bool ignore_case = false;               // not for kRegex
  std::shared_ptr<const re2::RE2> regex;  // kRegex: full match, linear time
};

// [start, end); never empty.
struct IntRange {
  int64_t start = 0;
  int64_t end = 0;
};

// A share of requests; at most the whole.
struct Fraction {
  uint32_t numerator = 0;
  uint32_t denominator = 100;
  // `draw` is uniform over all 64-bit values.
  bool Holds(uint64_t draw) const { return Below(draw, denominator) < numerator; }
  // Draws only where chance has a say.
  bool Hits(Random& random) const {
    return numerator > 0 && (numerator >= denominator || Holds(random.Next()));
  }
};

struct HeaderMatch {
  std::string name;  // lower case; ":method", ":path", ":authority", ":scheme" name the request line
  bool invert = false;
  // One of the two, or neither: the field must then be there (present = true) or must not (present = false).
  std::optional<StringMatch> value = std::nullopt;
  bool present = true;
  std::optional<IntRange> range = std::nullopt;  // the value is a decimal number in it
  bool missing_is_empty = false;  // a field that is not there is matched as if it were, and empty
};

// The first parameter of that name in the query, not decoded.
struct QueryMatch {
  std::string name;
  std::optional<StringMatch> value = std::nullopt;  // absent: as in HeaderMatch
  bool present = true;
};

struct RouteMatch {
  // kConnect: every CONNECT request, and no other; the other kinds match none.
  enum class Kind : uint8_t { kPrefix, kPath, kPathSeparatedPrefix, kRegex, kConnect };
  Kind kind = Kind::kPrefix;
  std::string text;
  bool case_sensitive = true;
  std::shared_ptr<const re2::RE2> regex;  // kRegex: the path without its query
  bool is_template = false;               // kRegex: its groups have the names that a template gives them
  std::vector<HeaderMatch> headers;       // all must match
  std::vector<QueryMatch> query;          // likewise
  bool grpc = false;                      // gRPC requests only, by their content-type
  std::optional<Fraction> share;          // of the requests that match otherwise
};

// Bits of RetryPolicy::on.
enum RetryOn : uint32_t {
  kRetry5xx = 1 << 0,
  kRetryGatewayError = 1 << 1,  // 502, 503, 504
  kRetryReset = 1 << 2,         // no answer at all
  kRetryConnectFailure = 1 << 3,
  kRetryRefusedStream = 1 << 4,
  kRetryRetriable4xx = 1 << 5,  // 409
  kRetryStatusCodes = 1 << 6,   // the list below
  kRetryGrpcCancelled = 1 << 7,
  kRetryGrpcDeadlineExceeded = 1 << 8,
  kRetryGrpcInternal = 1 << 9,
  kRetryGrpcResourceExhausted = 1 << 10,
  kRetryGrpcUnavailable = 1 << 11,
  kRetryResetBeforeRequest = 1 << 12,
  kRetryHeaders = 1 << 13,      // response_headers below
  kRetryRateLimited = 1 << 14,  // x-envoy-ratelimited is there
};

// Policy says what is worth retrying; whether a retry is safe is judged apart (upstream/retry_judgement.h).
struct RetryPolicy {
  uint32_t on = 0;
  uint32_t max_retries = 1;
  std::vector<uint16_t> status_codes;
  std::vector<HeaderMatch> response_headers;         // any of them
  std::vector<HeaderMatch> request_headers;          // likewise; none: every request
  std::chrono::nanoseconds per_try_timeout{0};       // 0: none
  std::chrono::nanoseconds per_try_idle_timeout{0};  // likewise
  std::chrono::nanoseconds backoff_base = std::chrono::milliseconds(25);
  std::chrono::nanoseconds backoff_max = std::chrono::milliseconds(250);
  // Where an answer says when to ask again: the first of these that is there and not longer than the limit.
  struct ResetHeader {
    std::string name;  // lower case
    bool timestamp = false;
  };
  std::vector<ResetHeader> reset_headers;
  std::chrono::nanoseconds reset_max = std::chrono::seconds(300);
  // Retries go to endpoints that have not all labels of one of these, where there are others.
  std::vector<Labels> avoided = {};
  // Retry also requests that are not idempotent after an ambiguous or answered attempt. Only our own policy
  // sets it; Envoy's fields cannot.
  bool non_idempotent = false;
  // Likewise, gRPC methods that are idempotent or have no side effects: "/package.Service/Method". Null:
  // none.
  std::shared_ptr<const std::set<std::string, std::less<>>> idempotent_methods = nullptr;
  bool TakesAsIdempotent(std::string_view path) const {
    return idempotent_methods != nullptr && idempotent_methods->contains(path);
  }
  // When another attempt is made beside one whose answer has not begun, the request being sent. Whichever
  // answers well first is delivered, and the others are given up. Only for requests that may run twice.
  struct Hedge {
    // When per_try_timeout is over, which then ends no attempt (Envoy: hedge_on_per_try_timeout).
    bool on_per_try_timeout = false;
    // After as long as this share of the route's last attempts took to answer; 0: not for that reason.
    double quantile = 0;
    std::chrono::nanoseconds at_least{0};  // likewise, but not before
    friend bool operator==(const Hedge&, const Hedge&) = default;
  };
  Hedge hedge = {};
};

// What is said of requests that ask to switch to one protocol, or of CONNECT.
struct UpgradeRule {
  std::string type;  // "websocket", "CONNECT"; case does not matter
  bool enabled = true;
};

// What is written into messages; null: nothing. Those of all levels, one behind the other.
struct Edits {
  std::shared_ptr<const HeaderEdits> request = nullptr;
  std::shared_ptr<const HeaderEdits> response = nullptr;
};

struct WeightedCluster {
  std::string cluster;
  uint32_t weight = 0;
  Edits edits = {};
  std::shared_ptr<const LabelMatch> labels = nullptr;  // that its endpoints must have; null: none
  // As the route's, of requests that go there, and with all that the route says; null: no more than that.
  std::shared_ptr<const std::vector<FilterEntry>> filters = nullptr;
};

// What of a request decides which endpoint it goes to, where the cluster's balancer hashes.
struct HashPolicy {
  enum class Kind : uint8_t { kHeader, kCookie, kSourceIp, kQuery };
  Kind kind = Kind::kHeader;
  std::string name;  // of the header, as in HeaderMatch, of the cookie or the parameter
  // kCookie: a client that has none is given one, for so long; 0: until it ends.
  std::optional<std::chrono::seconds> ttl = std::nullopt;
  std::string path = "";
  bool terminal = false;  // when it is there those behind it do not count
};

// What becomes of a request's path on its way to the upstream.
struct PathRewrite {
  enum class Kind : uint8_t { kMatched, kRegex, kTemplate };
  struct Part {
    std::string text;
    size_t group = 0;  // of the match's expression, whose find comes behind the text; 0: none
  };
  Kind kind = Kind::kMatched;
  std::string
      text;  // kMatched: in the place of what the match names; kRegex: of each find, with \1 for groups
  std::shared_ptr<const re2::RE2> regex;
  std::vector<Part> parts;  // kTemplate: the match is one too
};

// What host the upstream is asked for.
struct HostRewrite {
  enum class Kind : uint8_t { kLiteral, kHeader, kPathRegex };
  Kind kind = Kind::kLiteral;
  std::string text;  // the host; the field that says it; what becomes of each find in the path
  std::shared_ptr<const re2::RE2> regex;
};

struct Redirect {
  uint16_t status = 301;
  std::string scheme = "";                            // "": the request's
  std::string host = "";                              // likewise; maybe with a port
  uint16_t port = 0;                                  // 0: that of the host
  std::optional<std::string> path = std::nullopt;     // maybe with a query
  std::optional<PathRewrite> rewrite = std::nullopt;  // else
  bool strip_query = false;
};

// A copy of requests goes to another cluster too.
struct Mirror {
  std::string cluster;
  Fraction share{100, 100};
  bool add_suffix = true;  // "-shadow", to the host it is asked for
};

struct DirectResponse {
  uint16_t status = 200;
  std::string body;
};

struct Route {
  std::string name;  // for metrics and logs; "" in config gets "<virtual host>/<index>"
  RouteMatch match;
  // One or more, unless the route answers by itself.
  std::vector<WeightedCluster> clusters;
  uint64_t total_weight = 0;
  std::optional<DirectResponse> direct;
  std::shared_ptr<const Redirect> redirect;
  bool answers() const { return direct.has_value() || redirect != nullptr; }
  Edits edits;  // of an answer made here; those of requests for a cluster are with it
  std::shared_ptr<const PathRewrite> path_rewrite;  // null: none
  std::shared_ptr<const HostRewrite> host_rewrite;
  bool append_forwarded_host = false;
  uint16_t no_cluster_status = 503;                    // of the answer when there is no such cluster
  std::shared_ptr<const std::vector<Mirror>> mirrors;  // null: none
  // Whole exchange, from the end of the request to the end of the response; 0: none. Envoy's default: 15 s.
  std::chrono::nanoseconds timeout = std::chrono::seconds(15);
  bool tells_timeout = false;  // it is policy, not the default: upstreams are told what is left of it
  std::vector<HashPolicy> hash_policy;
  uint8_t priority = 0;  // which of the cluster's circuit limits count: RoutingPriority
  // Overrides the listener's stream idle time-out when set; 0: none.
  std::optional<std::chrono::nanoseconds> idle_timeout;
  std::optional<RetryPolicy> retry;
  // From the start of the request to the end of the response; 0: none.
  std::chrono::nanoseconds max_duration{0};
  // Set: a request's grpc-timeout, less the offset, is such a limit too, capped by this (0: no cap).
  std::optional<std::chrono::nanoseconds> grpc_timeout_max;
  std::chrono::nanoseconds grpc_timeout_offset{0};
  std::vector<UpgradeRule> upgrades;  // win over the listener's
  bool ends_connect = false;          // a CONNECT's bytes go to the cluster without it
  // What is said here, at the virtual host or for the table of the listener's filters; null: nothing.
  std::shared_ptr<const std::vector<FilterEntry>> filters;
};

struct VirtualHost {
  std::string name;
  std::vector<std::string> domains;  // lower case; "a.b", "*.b", "a.*", "*"
  std::vector<Route> routes;
};

// One RouteConfiguration. Look-up is prepared by route::RouteIndex.
struct RouteTable {
  std::string name;
  std::string version;  // of the resource, for admin
  std::vector<VirtualHost> virtual_hosts;
};

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_ROUTE_TABLE_H_
