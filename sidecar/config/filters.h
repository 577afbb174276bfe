// The HTTP filters as configuration: which of them a listener has, and what its routes say of them.
// Immutable and validated; any thread.
#ifndef PILLION_SIDECAR_CONFIG_FILTERS_H_
#define PILLION_SIDECAR_CONFIG_FILTERS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sidecar/config/listener.h"
#include "sidecar/config/route_table.h"

namespace pillion::config {

class Transcoding;  // transcoding/transcoding.h

enum class FilterKind : uint8_t {
  kCors,
  kGrpcWeb,
  kGrpcHttp1Bridge,
  kJsonTranscoder,
  kGrpcHttp1ReverseBridge,
};

// Nothing to say: the filter is there. At a listener CORS has no more than this.
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

struct GrpcHttp1Bridge {
  bool upgrade_protobuf = false;  // application/x-protobuf is wrapped into a gRPC frame, and unwrapped
  bool ignore_query = false;      // such a request's path loses its query
};

struct GrpcHttp1ReverseBridge {
  std::string content_type;
  bool withhold_frames = false;
  std::string size_header;  // "": none
};

using FilterOptions = std::variant<Present, CorsPolicy, GrpcHttp1Bridge, GrpcHttp1ReverseBridge,
                                   std::shared_ptr<const Transcoding>>;

// One entry of a listener's list, or what a route, virtual host or table says of the entry of that name.
struct FilterEntry {
  std::string name;
  bool disabled = false;
  std::optional<FilterKind> kind;  // none: a word that only switches the filter off
  std::shared_ptr<const FilterOptions> options;
};

// What holds for this filter on this route (which may be null); null when it does not run there.
const FilterOptions* OptionsOf(FilterKind kind, const HttpOptions& http, const Route* route);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_FILTERS_H_
