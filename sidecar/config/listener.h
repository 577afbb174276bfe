// Listeners as the data plane uses them: immutable and validated.
#ifndef PILLION_SIDECAR_CONFIG_LISTENER_H_
#define PILLION_SIDECAR_CONFIG_LISTENER_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/config/keep_alive.h"
#include "sidecar/config/route_table.h"
#include "sidecar/config/tls.h"
#include "sidecar/http/path.h"
#include "sidecar/net/address.h"
#include "sidecar/net/cidr_range.h"

namespace pillion::config {

enum class Direction : uint8_t { kUnspecified, kInbound, kOutbound };
enum class CodecType : uint8_t { kAuto, kHttp1, kHttp2 };

// Tracing as the pushed policy says. Percentages are of 100.
struct Tracing {
  std::string collector_cluster;
  std::string service_name = "unknown_service";
  double random_sampling = 100;   // share of requests without a sampled traceparent
  double overall_sampling = 100;  // cap on both
  std::chrono::nanoseconds export_timeout = std::chrono::seconds(10);  // of one export call
};

struct AccessLog {
  std::string path;  // "/dev/stdout" for standard output
};

// What is told of the traffic of a filter chain, and to whom.
struct Reporting {
  std::string listener;  // its name
  std::optional<Tracing> tracing;
  std::optional<AccessLog> access_log;
};

enum class ServerField : uint8_t { kOverwrite, kAddIfAbsent, kPassThrough };
enum class UnderscoreNames : uint8_t { kAllow, kReject, kDrop };

// x-forwarded-client-cert. All but kAlwaysForward take it off where the client has proven nothing.
enum class ForwardClientCertificates : uint8_t {
  kSanitize,       // taken off
  kForward,        // passed on
  kAppend,         // passed on, with what this connection's certificate says
  kSanitizeSet,    // what this connection's certificate says, alone
  kAlwaysForward,  // passed on, also without TLS
};
struct ClientCertificatePolicy {
  ForwardClientCertificates mode = ForwardClientCertificates::kSanitize;
  // Told beside the hash.
  bool subject = false;
  bool uri = false;
  bool dns = false;
};

// What is changed in requests and responses, and what is refused. The defaults change and refuse nothing but
// x-forwarded-client-cert; those of xDS are written in the protos.
struct HttpPolicy {
  http::PathRules path;
  ClientCertificatePolicy client_certificate;
  UnderscoreNames underscore_names = UnderscoreNames::kAllow;
  ServerField server = ServerField::kPassThrough;
  std::string server_name;
  std::string via;  // "": none
  bool use_remote_address = false;
  bool skip_xff_append = false;
  bool answer_100_continue = false;  // here, and not by the upstream
  bool accept_http10 = true;
  std::string default_host_for_http10;
  uint32_t trusted_hops = 0;
  // None of the above but trusted_hops, and client_certificate, asks for work per request.
  bool plain = true;
};

// Where requests are judged by an RBAC filter: as they come, or as a JSON transcoder has made them.
enum class AccessJudged : uint8_t { kNowhere, kAsTheyCome, kAsTranslated };

// One HTTP connection manager.
struct HttpOptions : Reporting {
  std::string stat_prefix;
  CodecType codec = CodecType::kAuto;
  // Exactly one of the two.
  std::shared_ptr<const RouteTable> inline_routes;
  std::string rds_name;
  // Warming waits this long for the table that `rds_name` asks for, then the listener has no routes; 0: for
  // ever.
  std::chrono::nanoseconds rds_timeout = std::chrono::seconds(15);
  // Time-outs; 0: none. Start and stop events:
  std::chrono::nanoseconds idle_timeout = std::chrono::hours(1);           // no stream open .. next request
  std::chrono::nanoseconds stream_idle_timeout = std::chrono::minutes(5);  // no byte either way on a stream
  std::chrono::nanoseconds request_timeout{0};                             // first byte .. end of request
  std::chrono::nanoseconds request_headers_timeout{0};                     // first byte .. end of head
  std::chrono::nanoseconds drain_timeout = std::chrono::seconds(5);        // first GOAWAY .. final GOAWAY
  std::chrono::nanoseconds max_connection_duration{0};                     // accepted .. drain
  std::chrono::nanoseconds max_stream_duration{0};                         // first byte .. end of the answer
  uint32_t max_requests_per_connection = 0;                                // 0: no limit
  std::optional<KeepAlive> keep_alive;
  HttpPolicy policy;
  size_t max_request_head_bytes = size_t{60} * 1024;
  size_t max_fields = 100;
  uint32_t max_concurrent_streams = 1024;
  uint32_t stream_window_bytes = 256 * 1024;
  // The filters of the list that not every request passes; null: none.
  std::shared_ptr<const std::vector<FilterEntry>> filters;
  AccessJudged access_judged = AccessJudged::kNowhere;
  // Requests that ask to switch protocols, and CONNECT, are for those that are listed; `pass_upgrades`: all
  // but CONNECT and HTTP/2 itself.
  std::vector<UpgradeRule> upgrades;
  bool pass_upgrades = false;
  bool accept_peer_headers = false;  // an inbound listener for sidecars: the internal header is honoured
  bool allow_explain = false;        // x-pillion-explain: 1 gets its answer
  bool generate_request_id = true;   // give requests without x-request-id one
};

// `type`: what a request asks to switch to, several separated by commas (then all must be allowed), or
// "CONNECT".
bool AllowsUpgrade(const HttpOptions& http, const Route& route, std::string_view type);

// One HTTP connection manager, with what its sessions know of their listener.
struct HttpServer {
  std::string name;   // the listener's
  uint16_t port = 0;  // of the listener
  Direction direction = Direction::kUnspecified;
  size_t stream_buffer_bytes =
      size_t{256} * 1024;  // what one stream may hold each way (per_connection_buffer_limit_bytes)
  HttpOptions http;
};

// One tcp_proxy: each client's connection is joined with one of our own.
struct TcpServer : Reporting {
  Direction direction = Direction::kUnspecified;
  size_t stream_buffer_bytes = size_t{256} * 1024;  // held each way for a side that does not take it
  std::string stat_prefix;
  std::vector<WeightedCluster> clusters;                          // one or more
  uint64_t total_weight = 0;                                      // > 0
  std::chrono::nanoseconds idle_timeout = std::chrono::hours(1);  // no byte either way; 0: none
  uint32_t max_connect_attempts = 1;
  bool hash_client = false;  // by its address, where the cluster's balancer hashes
};

using net::CidrRange;

// Which connections a chain is for. Every criterion that is set must hold; listener/chain_match.h says which
// of several chains wins.
struct FilterChainMatch {
  enum class Transport : uint8_t { kAny, kPlain, kTls };
  enum class Source : uint8_t { kAny, kLocal, kExternal };
  std::optional<uint16_t> destination_port;
  std::vector<CidrRange> destinations;
  std::vector<std::string> server_names;  // lower case; "a.b", "*.b"
  Transport transport = Transport::kAny;
  std::vector<std::string> application_protocols;  // TLS ALPN; by inspection "http/1.0", "http/1.1", "h2c"
  std::vector<CidrRange> direct_sources;           // the peer's own address
  Source source = Source::kAny;
  std::vector<CidrRange> sources;  // the address that PROXY protocol told, else the peer's
  std::vector<uint16_t> source_ports;
  friend bool operator==(const FilterChainMatch&, const FilterChainMatch&) = default;
};

struct FilterChain {
  std::string name;
  // What it was read from. Of two generations of a listener, chains read from the same share what follows.
  std::string source = {};
  FilterChainMatch match;
  // Exactly one of the two.
  std::shared_ptr<const HttpServer> http;
  std::shared_ptr<const TcpServer> tcp;
  std::shared_ptr<const ServerTls> tls = nullptr;  // null: what the client sends is taken as it is
};

// PROXY protocol in front of a client's first byte.
struct ProxyProtocolIn {
  bool may_be_missing = false;
  bool allow_v1 = true;
  bool allow_v2 = true;
};

// The same chain in two generations of a listener: what it serves goes on.
inline bool SameChain(const FilterChain& a, const FilterChain& b) {
  return a.http == b.http && a.tcp == b.tcp;
}

struct Listener {
  std::string name;
  std::string version;
  net::Address address;
  Direction direction = Direction::kUnspecified;
  // What is looked at before a chain is chosen.
  bool inspect_tls = false;   // ClientHello: server name, ALPN
  bool inspect_http = false;  // first line: "http/1.0", "http/1.1", "h2c"
  // What the client dialled before the kernel redirected it to us is the connection's destination.
  bool original_destination = false;
  std::optional<ProxyProtocolIn> proxy_protocol;
  std::chrono::nanoseconds inspection_timeout =
      std::chrono::seconds(15);         // first byte .. chain chosen; 0: none
  bool continue_after_timeout = false;  // else the connection is closed
  std::vector<FilterChain> chains;      // one or more
  std::optional<FilterChain> default_chain;
  // By number: the chains, then the default one.
  size_t chain_count() const { return chains.size() + (default_chain ? 1 : 0); }
  const FilterChain& chain(size_t i) const {
    return i >= chains.size() && default_chain ? *default_chain : chains[i];
  }
};

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_LISTENER_H_
