// Listeners as the data plane uses them: immutable and validated.
#ifndef PILLION_SIDECAR_CONFIG_LISTENER_H_
#define PILLION_SIDECAR_CONFIG_LISTENER_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "sidecar/config/route_table.h"
#include "sidecar/net/address.h"

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

// One HTTP connection manager.
struct HttpOptions {
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
  size_t max_request_head_bytes = size_t{60} * 1024;
  size_t max_fields = 100;
  uint32_t max_concurrent_streams = 1024;
  uint32_t stream_window_bytes = 256 * 1024;
  std::optional<Tracing> tracing;
  std::optional<AccessLog> access_log;
  bool accept_peer_headers = false;  // an inbound listener for sidecars: the internal header is honoured
  bool allow_explain = false;        // x-pillion-explain: 1 gets its answer
  bool generate_request_id = true;   // give requests without x-request-id one
};

struct Listener {
  std::string name;
  std::string version;
  net::Address address;
  Direction direction = Direction::kUnspecified;
  size_t stream_buffer_bytes =
      size_t{256} * 1024;  // what one stream may hold each way (per_connection_buffer_limit_bytes)
  HttpOptions http;
};

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_LISTENER_H_
