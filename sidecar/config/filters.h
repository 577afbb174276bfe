// The HTTP filters as configuration: which of them a listener has, and what its routes say of them.
// Immutable and validated; any thread.
#ifndef PILLION_SIDECAR_CONFIG_FILTERS_H_
#define PILLION_SIDECAR_CONFIG_FILTERS_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sidecar/config/access_rules.h"
#include "sidecar/config/listener.h"
#include "sidecar/config/rate_limit.h"
#include "sidecar/config/route_table.h"
#include "sidecar/config/sticky_session.h"
#include "sidecar/config/tokens.h"

namespace pillion::config {

class Transcoding;  // transcoding/transcoding.h

enum class FilterKind : uint8_t {
  kCors,
  kFault,
  kGrpcWeb,
  kGrpcHttp1Bridge,
  kJsonTranscoder,
  kGrpcHttp1ReverseBridge,
  kLocalRateLimit,
  kRbac,
  kStatefulSession,
  kIdempotency,
};

// Nothing to say: the filter is there. At a listener CORS has no more than this, and sessions need not.
struct Present {};

struct CorsPolicy {
  std::vector<StringMatch> allow_origins;
  std::string allow_methods;
  std::string allow_headers;
  std::string expose_headers;
  std::string max_age;
  bool allow_credentials = false;
  bool forward_not_matching_preflights = true;
};

// What policy lets fail, and how.
struct Fault {
  struct Delay {
    std::chrono::nanoseconds time{0};  // 0: what the request says
    Fraction share;
  };
  struct Abort {
    enum class Kind : uint8_t { kHttp, kGrpc, kByRequest };
    Kind kind = Kind::kHttp;
    uint16_t status = 0;
    Fraction share;
  };
  std::optional<Delay> delay;
  std::optional<Abort> abort;
  std::vector<HeaderMatch> headers;  // all must match
  uint32_t max_active = UINT32_MAX;
  // Of those that wait by these words; of all workers, which share them. A push of new ones counts anew.
  std::shared_ptr<std::atomic<uint32_t>> active = std::make_shared<std::atomic<uint32_t>>(0);
};

struct GrpcHttp1Bridge {
  bool upgrade_protobuf = false;  // application/x-protobuf is wrapped into a gRPC frame, and unwrapped
  bool ignore_query = false;      // such a request's path loses its query
};

struct GrpcHttp1ReverseBridge {
  std::string content_type;
  bool withhold_frames = false;
  std::string size_header;  // "": none
};

using FilterOptions =
    std::variant<Present, CorsPolicy, Fault, RateLimit, GrpcHttp1Bridge, GrpcHttp1ReverseBridge,
                 std::shared_ptr<const Transcoding>, StickySession, TokenDomains, TokenPolicy, AccessControl>;

// One entry of a listener's list, or what a route, virtual host or table says of the entry of that name.
struct FilterEntry {
  std::string name;
  bool disabled = false;
  std::optional<FilterKind> kind;  // none: a word that only switches the filter off
  std::shared_ptr<const FilterOptions> options;
  // Where it is said, by the names of table, virtual host and route; "": at the listener.
  std::string place = "";
};

// What holds for this filter on this route (which may be null); null when it does not run there.
// `of_cluster`: WeightedCluster::filters, where the filter has options for one of the route's clusters.
const FilterOptions* OptionsOf(FilterKind kind, const HttpOptions& http, const Route* route,
                               const std::vector<FilterEntry>* of_cluster = nullptr);

// That the listener enforces; null: none.
const TokenDomains* TokenDomainsOf(const HttpOptions& http);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_FILTERS_H_
