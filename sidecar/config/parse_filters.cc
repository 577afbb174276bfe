#include "sidecar/config/parse_filters.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <map>
#include <utility>

#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/grpc_http1_bridge/v3/config.pb.h"
#include "envoy/extensions/filters/http/grpc_http1_reverse_bridge/v3/config.pb.h"
#include "envoy/extensions/filters/http/grpc_json_transcoder/v3/transcoder.pb.h"
#include "envoy/extensions/filters/http/grpc_web/v3/grpc_web.pb.h"
#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/http/stateful_session/v3/stateful_session.pb.h"
#include "pillion/sidecar/v1/idempotency.pb.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/config/parse_access_rules.h"
#include "sidecar/config/parse_rate_limit.h"
#include "sidecar/config/parse_route.h"
#include "sidecar/config/parse_sticky_session.h"
#include "sidecar/config/parse_tokens.h"
#include "sidecar/config/transcoding/transcoding.h"

namespace pillion::config {
namespace {

namespace http = envoy::extensions::filters::http;
using google::protobuf::Any;
using http::grpc_json_transcoder::v3::GrpcJsonTranscoder;
using http::local_ratelimit::v3::LocalRateLimit;
using http::stateful_session::v3::StatefulSession;
using http::stateful_session::v3::StatefulSessionPerRoute;
using ReverseBridge = http::grpc_http1_reverse_bridge::v3::FilterConfig;
using ReverseBridgePerRoute = http::grpc_http1_reverse_bridge::v3::FilterConfigPerRoute;

// Reads the options, and may switch the entry off.
using Read = FilterOptions (*)(const Any& any, const std::string& path, bool& disabled, ConfigErrors& errors);

// A value of a response field.
std::string ReadFieldValue(const std::string& text, const std::string& path, ConfigErrors& errors) {
  if (std::ranges::any_of(text, [](char c) { return c < 0x20 || c > 0x7e; })) {
    Add(errors, path, "expected printable ASCII characters");
  }
  return text;
}

template <typename Message>
FilterOptions ReadPresent(const Any& any, const std::string& path, bool&, ConfigErrors& errors) {
  Unpack<Message>(any, path, errors);
  return Present{};
}

FilterOptions ReadCorsPolicy(const Any& any, const std::string& path, bool&, ConfigErrors& errors) {
  CorsPolicy result;
  const auto proto = Unpack<http::cors::v3::CorsPolicy>(any, path, errors);
  if (proto == nullptr) return result;
  const std::string origins_path = FieldPath(path, "allow_origin_string_match");
  for (int i = 0; i < proto->allow_origin_string_match_size(); ++i) {
    result.allow_origins.push_back(ReadStringMatch(
        proto->allow_origin_string_match(i), ElementPath(origins_path, static_cast<size_t>(i)), errors));
  }
  const auto text = [&](const std::string& value, std::string_view field) {
    return ReadFieldValue(value, FieldPath(path, field), errors);
  };
  result.allow_methods = text(proto->allow_methods(), "allow_methods");
  result.allow_headers = text(proto->allow_headers(), "allow_headers");
  result.expose_headers = text(proto->expose_headers(), "expose_headers");
  result.max_age = text(proto->max_age(), "max_age");
  result.allow_credentials = proto->allow_credentials().value();
  if (proto->has_forward_not_matching_preflights())
    result.forward_not_matching_preflights = proto->forward_not_matching_preflights().value();
  return result;
}

Fault::Delay ReadDelay(const envoy::extensions::filters::common::fault::v3::FaultDelay& proto,
                       const std::string& path, ConfigErrors& errors) {
  Fault::Delay result{.time = {},
                      .share = ReadFraction(proto.percentage(), FieldPath(path, "percentage"), errors)};
  if (proto.has_fixed_delay()) {
    result.time = ReadDuration(proto.fixed_delay(), FieldPath(path, "fixed_delay"), errors, true);
  } else if (!proto.has_header_delay()) {
    Add(errors, path, "expected fixed_delay or header_delay");
  }
  return result;
}

Fault::Abort ReadAbort(const http::fault::v3::FaultAbort& proto, const std::string& path,
                       ConfigErrors& errors) {
  using Kind = Fault::Abort::Kind;
  Fault::Abort result{.kind = Kind::kByRequest,
                      .status = 0,
                      .share = ReadFraction(proto.percentage(), FieldPath(path, "percentage"), errors)};
  const auto status = [&](Kind kind, uint32_t value, uint32_t min, uint32_t max, std::string_view field) {
    if (value < min || value > max) {
      Add(errors, FieldPath(path, field),
          "expected a status from " + std::to_string(min) + " to " + std::to_string(max));
    }
    result.kind = kind;
    result.status = static_cast<uint16_t>(value);
  };
  if (proto.has_http_status()) {
    status(Kind::kHttp, proto.http_status(), 200, 599, "http_status");
  } else if (proto.has_grpc_status()) {
    status(Kind::kGrpc, proto.grpc_status(), 1, 16, "grpc_status");
  } else if (!proto.has_header_abort()) {
    Add(errors, path, "expected http_status, grpc_status or header_abort");
  }
  return result;
}

FilterOptions ReadFault(const Any& any, const std::string& path, bool&, ConfigErrors& errors) {
  Fault result;
  const auto proto = Unpack<http::fault::v3::HTTPFault>(any, path, errors);
  if (proto == nullptr) return result;
  if (proto->has_delay()) result.delay = ReadDelay(proto->delay(), FieldPath(path, "delay"), errors);
  if (proto->has_abort()) result.abort = ReadAbort(proto->abort(), FieldPath(path, "abort"), errors);
  result.headers.reserve(static_cast<size_t>(proto->headers_size()));
  for (int i = 0; i < proto->headers_size(); ++i) {
    result.headers.push_back(ReadHeaderMatch(
        proto->headers(i), ElementPath(FieldPath(path, "headers"), static_cast<size_t>(i)), errors));
  }
  if (proto->has_max_active_faults()) result.max_active = proto->max_active_faults().value();
  return result;
}

FilterOptions ReadBridge(const Any& any, const std::string& path, bool&, ConfigErrors& errors) {
  GrpcHttp1Bridge result;
  if (const auto proto = Unpack<http::grpc_http1_bridge::v3::Config>(any, path, errors)) {
    result.upgrade_protobuf = proto->upgrade_protobuf_to_grpc();
    result.ignore_query = proto->ignore_query_parameters();
  }
  return result;
}

FilterOptions ReadReverseBridge(const Any& any, const std::string& path, bool&, ConfigErrors& errors) {
  GrpcHttp1ReverseBridge result;
  const auto proto = Unpack<ReverseBridge>(any, path, errors);
  if (proto == nullptr) return result;
  RequireText(proto->content_type(), FieldPath(path, "content_type"), errors);
  result.content_type = ReadFieldValue(proto->content_type(), FieldPath(path, "content_type"), errors);
  result.withhold_frames = proto->withhold_grpc_frames();
  result.size_header =
      ReadFieldValue(proto->response_size_header(), FieldPath(path, "response_size_header"), errors);
  return result;
}

FilterOptions ReadReverseBridgePerRoute(const Any& any, const std::string& path, bool& disabled,
                                        ConfigErrors& errors) {
  const auto proto = Unpack<ReverseBridgePerRoute>(any, path, errors);
  if (proto != nullptr && !proto->disabled()) {
    Add(errors, FieldPath(path, "disabled"), "expected true; it says nothing otherwise");
  }
  disabled = true;
  return Present{};
}

std::string ReadDescriptorSet(const GrpcJsonTranscoder& proto, const std::string& path,
                              ConfigErrors& errors) {
  if (proto.descriptor_set_case() == GrpcJsonTranscoder::DESCRIPTOR_SET_NOT_SET) {
    Add(errors, path, "expected proto_descriptor or proto_descriptor_bin");
    return {};
  }
  if (proto.has_proto_descriptor_bin()) return proto.proto_descriptor_bin();
  std::ifstream file(proto.proto_descriptor(), std::ios::binary);
  std::string bytes;
  if (file) {
    bytes.resize(kMaxDescriptorSetBytes + 1);
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    bytes.resize(static_cast<size_t>(file.gcount()));
  }
  if (bytes.empty()) Add(errors, FieldPath(path, "proto_descriptor"), "expected a file that can be read");
  return bytes;
}

// What may be asked for; protobuf counts bytes in an int.
constexpr uint32_t kMaxTranscodedBytes = uint32_t{1024} * 1024 * 1024;

TranscodingOptions ReadTranscodingOptions(const GrpcJsonTranscoder& proto, const std::string& path,
                                          ConfigErrors& errors) {
  TranscodingOptions result;
  const auto& print = proto.print_options();
  result.add_whitespace = print.add_whitespace();
  result.print_defaults = print.always_print_primitive_fields();
  result.print_enums_as_ints = print.always_print_enums_as_ints();
  result.preserve_field_names = print.preserve_proto_field_names();
  result.newline_delimited = print.stream_newline_delimited();
  result.keep_route = proto.match_incoming_request_route();
  result.ignored_parameters.insert(proto.ignored_query_parameters().begin(),
                                   proto.ignored_query_parameters().end());
  result.ignore_unknown_parameters = proto.ignore_unknown_query_parameters();
  result.auto_mapping = proto.auto_mapping();
  result.convert_status = proto.convert_grpc_status();
  switch (proto.url_unescape_spec()) {
    case GrpcJsonTranscoder::ALL_CHARACTERS_EXCEPT_RESERVED:
      break;
    case GrpcJsonTranscoder::ALL_CHARACTERS_EXCEPT_SLASH:
      result.keep_escaped = "/";
      break;
    case GrpcJsonTranscoder::ALL_CHARACTERS:
      result.keep_escaped.clear();
      break;
    default:
      Add(errors, FieldPath(path, "url_unescape_spec"), "expected a value of UrlUnescapeSpec");
  }
  result.plus_is_space = proto.query_param_unescape_plus();
  result.any_verb = proto.match_unregistered_custom_verb();
  result.reject_unknown_method = proto.request_validation_options().reject_unknown_method();
  result.reject_unknown_parameters = proto.request_validation_options().reject_unknown_query_parameters();
  result.case_insensitive_enums = proto.case_insensitive_enum_parsing();
  if (proto.has_max_request_body_size()) {
    result.max_request_bytes =
        ReadNumber(proto.max_request_body_size(), FieldPath(path, "max_request_body_size"), errors, 1,
                   kMaxTranscodedBytes);
  }
  if (proto.has_max_response_body_size()) {
    result.max_response_bytes =
        ReadNumber(proto.max_response_body_size(), FieldPath(path, "max_response_body_size"), errors, 1,
                   kMaxTranscodedBytes);
  }
  return result;
}

FilterOptions ReadTranscoder(const Any& any, const std::string& path, bool& disabled, ConfigErrors& errors) {
  const auto proto = Unpack<GrpcJsonTranscoder>(any, path, errors);
  if (proto == nullptr) return std::shared_ptr<const Transcoding>();
  if (proto->services().empty()) disabled = true;
  const std::string set = ReadDescriptorSet(*proto, path, errors);
  if (set.empty()) return std::shared_ptr<const Transcoding>();
  if (set.size() > kMaxDescriptorSetBytes) {
    Add(errors, path,
        "expected a descriptor set of at most " + std::to_string(kMaxDescriptorSetBytes) + " bytes");
    return std::shared_ptr<const Transcoding>();
  }
  TranscodingErrors problems;
  auto transcoding = Transcoding::Build(set, {proto->services().begin(), proto->services().end()},
                                        ReadTranscodingOptions(*proto, path, errors), problems);
  for (const std::string& problem : problems.descriptor_set) {
    Add(errors, FieldPath(path, proto->has_proto_descriptor() ? "proto_descriptor" : "proto_descriptor_bin"),
        problem);
  }
  for (const auto& [index, problem] : problems.services) {
    Add(errors, ElementPath(FieldPath(path, "services"), index), problem);
  }
  return transcoding;
}

// The catalogue: which types there are, at the listener and below it.
struct Row {
  FilterKind kind;
  std::string type;
  bool at_listener;
  bool below;
  Read read;
  bool of_clusters = false;  // and below routes: the filter asks what holds for the cluster that was chosen
};

bool IsFor(FilterLevel level, const Row& row) {
  switch (level) {
    case FilterLevel::kListener:
      return row.at_listener;
    case FilterLevel::kRoute:
      return row.below;
    case FilterLevel::kCluster:
      return row.of_clusters;
  }
  return false;
}

const std::array<Row, 15>& Catalogue() {
  static const auto* const rows = new std::array<Row, 15>{{
      {FilterKind::kCors, http::cors::v3::Cors::descriptor()->full_name(), true, false,
       ReadPresent<http::cors::v3::Cors>},
      {FilterKind::kCors, http::cors::v3::CorsPolicy::descriptor()->full_name(), false, true, ReadCorsPolicy},
      {FilterKind::kFault, http::fault::v3::HTTPFault::descriptor()->full_name(), true, true, ReadFault},
      {FilterKind::kLocalRateLimit, LocalRateLimit::descriptor()->full_name(), true, true,
       [](const Any& any, const std::string& path, bool&, ConfigErrors& errors) -> FilterOptions {
         return ReadRateLimit(any, path, errors);
       }},
      {FilterKind::kRbac, http::rbac::v3::RBAC::descriptor()->full_name(), true, false,
       [](const Any& any, const std::string& path, bool&, ConfigErrors& errors) -> FilterOptions {
         return ReadAccessControl(any, path, errors);
       }},
      {FilterKind::kRbac, http::rbac::v3::RBACPerRoute::descriptor()->full_name(), false, true,
       [](const Any& any, const std::string& path, bool& disabled, ConfigErrors& errors) -> FilterOptions {
         return ReadAccessControlPerRoute(any, path, disabled, errors);
       }},
      {FilterKind::kGrpcWeb, http::grpc_web::v3::GrpcWeb::descriptor()->full_name(), true, true,
       ReadPresent<http::grpc_web::v3::GrpcWeb>},
      {FilterKind::kGrpcHttp1Bridge, http::grpc_http1_bridge::v3::Config::descriptor()->full_name(), true,
       true, ReadBridge},
      {FilterKind::kGrpcHttp1ReverseBridge, ReverseBridge::descriptor()->full_name(), true, true,
       ReadReverseBridge},
      {FilterKind::kGrpcHttp1ReverseBridge, ReverseBridgePerRoute::descriptor()->full_name(), false, true,
       ReadReverseBridgePerRoute},
      {FilterKind::kJsonTranscoder, GrpcJsonTranscoder::descriptor()->full_name(), true, true,
       ReadTranscoder},
      {FilterKind::kIdempotency, sidecar::v1::Idempotency::descriptor()->full_name(), true, false,
       [](const Any& any, const std::string& path, bool&, ConfigErrors& errors) -> FilterOptions {
         return ReadTokenDomains(any, path, errors);
       }},
      {FilterKind::kIdempotency, sidecar::v1::TokenPolicy::descriptor()->full_name(), false, true,
       [](const Any& any, const std::string& path, bool&, ConfigErrors& errors) -> FilterOptions {
         return ReadTokenPolicy(any, path, errors);
       },
       true},
      {FilterKind::kStatefulSession, StatefulSession::descriptor()->full_name(), true, false,
       [](const Any& any, const std::string& path, bool&, ConfigErrors& errors) {
         return ReadStickySession(any, path, errors);
       }},
      {FilterKind::kStatefulSession, StatefulSessionPerRoute::descriptor()->full_name(), false, true,
       ReadStickySessionPerRoute},
  }};
  return *rows;
}

std::optional<FilterEntry> ReadEntry(const std::string& name, const Any& any, FilterLevel level,
                                     const std::string& path, ConfigErrors& errors) {
  const std::string type = TypeName(any);
  for (const Row& row : Catalogue()) {
    if (row.type != type || !IsFor(level, row)) continue;
    FilterEntry entry{name, false, row.kind, nullptr};
    entry.options = std::make_shared<const FilterOptions>(row.read(any, path, entry.disabled, errors));
    return entry;
  }
  return std::nullopt;
}

// A FilterConfig, or the options themselves.
std::optional<FilterEntry> ReadOverride(const std::string& name, const Any& any, FilterLevel level,
                                        const std::string& path, ConfigErrors& errors) {
  using envoy::config::route::v3::FilterConfig;
  if (TypeName(any) != FilterConfig::descriptor()->full_name()) {
    auto entry = ReadEntry(name, any, level, path, errors);
    if (!entry)
      Add(errors, path, "expected options that are implemented at this level, found " + TypeName(any));
    return entry;
  }
  const auto config = Unpack<FilterConfig>(any, path, errors);
  if (config == nullptr) return std::nullopt;
  if (config->disabled()) {
    // Of which filter it is the listener alone knows; most do not ask what their cluster says.
    if (level == FilterLevel::kCluster)
      Add(errors, FieldPath(path, "disabled"), "expected false for one of a route's clusters");
    return FilterEntry{name, true, std::nullopt, nullptr};
  }
  const std::string config_path = FieldPath(path, "config");
  if (!config->has_config()) {
    Add(errors, config_path, "expected options, or disabled");
    return std::nullopt;
  }
  auto entry = ReadEntry(name, config->config(), level, config_path, errors);
  if (!entry && !config->is_optional()) {
    Add(errors, config_path,
        "expected options that are implemented at this level, found " + TypeName(config->config()));
  }
  return entry;
}

}  // namespace

std::optional<FilterEntry> ReadFilter(const std::string& name, const Any& typed_config,
                                      const std::string& path, ConfigErrors& errors) {
  return ReadEntry(name, typed_config, FilterLevel::kListener, path, errors);
}

std::shared_ptr<const std::vector<FilterEntry>> ReadPerFilterConfig(
    const PerFilterConfig& proto, std::shared_ptr<const std::vector<FilterEntry>> above,
    const std::string& place, const std::string& path, ConfigErrors& errors, FilterLevel level) {
  if (proto.empty()) return above;
  auto entries = std::make_shared<std::vector<FilterEntry>>();
  // Sorted, so that errors come in one order.
  std::map<std::string, const Any*> sorted;
  for (const auto& [name, any] : proto) sorted.emplace(name, &any);
  for (const auto& [name, any] : sorted) {
    auto entry = ReadOverride(name, *any, level, EntryPath(path, name), errors);
    if (!entry) continue;
    entry->place = place;
    entries->push_back(*std::move(entry));
  }
  if (above != nullptr) {
    std::ranges::copy_if(*above, std::back_inserter(*entries),
                         [&](const FilterEntry& entry) { return sorted.count(entry.name) == 0; });
  }
  return entries;
}

}  // namespace pillion::config
