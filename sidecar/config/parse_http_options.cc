// The HTTP connection manager of a listener.
#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "envoy/config/trace/v3/trace.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/access_loggers/stream/v3/stream.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "pillion/sidecar/v1/peering.pb.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/config/parse_filters.h"
#include "sidecar/config/parse_listener.h"
#include "sidecar/config/parse_route.h"
#include "sidecar/http/scan.h"
#include "sidecar/http/target.h"

namespace pillion::config {
namespace {

using envoy::config::trace::v3::OpenTelemetryConfig;
using envoy::extensions::access_loggers::file::v3::FileAccessLog;
using envoy::extensions::access_loggers::stream::v3::StdoutAccessLog;
using envoy::extensions::filters::http::router::v3::Router;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
using sidecar::v1::Peering;
using CommonOptions = envoy::config::core::v3::HttpProtocolOptions;

constexpr uint32_t kMaxHeadKib = 8192;

CodecType ReadCodec(HttpConnectionManager::CodecType codec, const std::string& path, ConfigErrors& errors) {
  switch (codec) {
    case HttpConnectionManager::AUTO:
      return CodecType::kAuto;
    case HttpConnectionManager::HTTP1:
      return CodecType::kHttp1;
    case HttpConnectionManager::HTTP2:
      return CodecType::kHttp2;
    default:
      Add(errors, path, "expected AUTO, HTTP1 or HTTP2; others are not implemented");
      return CodecType::kAuto;
  }
}

void ReadRoutes(const HttpConnectionManager& proto, const std::string& path, Origin origin,
                HttpOptions& result, ConfigErrors& errors) {
  if (proto.has_route_config()) {
    result.inline_routes = std::make_shared<const RouteTable>(
        ReadRouteTable(proto.route_config(), FieldPath(path, "route_config"), origin, errors));
    return;
  }
  if (!proto.has_rds()) {
    Add(errors, path, "expected rds or route_config");
    return;
  }
  const std::string rds_path = FieldPath(path, "rds");
  RequireText(proto.rds().route_config_name(), FieldPath(rds_path, "route_config_name"), errors);
  result.rds_name = proto.rds().route_config_name();
  result.rds_timeout =
      ReadAdsSource(proto.rds().config_source(), FieldPath(rds_path, "config_source"), errors);
}

void ReadTimeouts(const HttpConnectionManager& proto, const std::string& path, HttpOptions& result,
                  ConfigErrors& errors) {
  const auto read = [&](bool present, const google::protobuf::Duration& duration, std::string_view field,
                        nanoseconds& into) {
    if (present) into = ReadDuration(duration, FieldPath(path, field), errors);
  };
  read(proto.has_drain_timeout(), proto.drain_timeout(), "drain_timeout", result.drain_timeout);
  read(proto.has_stream_idle_timeout(), proto.stream_idle_timeout(), "stream_idle_timeout",
       result.stream_idle_timeout);
  read(proto.has_request_timeout(), proto.request_timeout(), "request_timeout", result.request_timeout);
  read(proto.has_request_headers_timeout(), proto.request_headers_timeout(), "request_headers_timeout",
       result.request_headers_timeout);
}

void ReadLimits(const HttpConnectionManager& proto, const std::string& path, HttpOptions& result,
                ConfigErrors& errors) {
  if (proto.has_max_request_headers_kb()) {
    const uint32_t kib = ReadNumber(proto.max_request_headers_kb(), FieldPath(path, "max_request_headers_kb"),
                                    errors, 1, kMaxHeadKib);
    result.max_request_head_bytes = size_t{kib} * 1024;
  }
  const std::string common_path = FieldPath(path, "common_http_protocol_options");
  const auto& common = proto.common_http_protocol_options();
  if (common.has_idle_timeout()) {
    result.idle_timeout = ReadDuration(common.idle_timeout(), FieldPath(common_path, "idle_timeout"), errors);
  }
  if (common.has_max_headers_count()) {
    result.max_fields = ReadNumber(common.max_headers_count(), FieldPath(common_path, "max_headers_count"),
                                   errors, 1, UINT32_MAX);
  }
  if (common.has_max_connection_duration()) {
    result.max_connection_duration = ReadDuration(common.max_connection_duration(),
                                                  FieldPath(common_path, "max_connection_duration"), errors);
  }
  if (common.has_max_stream_duration()) {
    result.max_stream_duration =
        ReadDuration(common.max_stream_duration(), FieldPath(common_path, "max_stream_duration"), errors);
  }
  result.max_requests_per_connection = common.max_requests_per_connection().value();
  const Http2Limits http2 =
      ReadHttp2(proto.http2_protocol_options(), FieldPath(path, "http2_protocol_options"), errors);
  result.max_concurrent_streams = http2.max_concurrent_streams;
  result.stream_window_bytes = http2.stream_window_bytes;
  result.keep_alive = http2.keep_alive;
}

http::EscapedSlashes ReadEscapedSlashes(HttpConnectionManager::PathWithEscapedSlashesAction action,
                                        const std::string& path, ConfigErrors& errors) {
  switch (action) {
    case HttpConnectionManager::IMPLEMENTATION_SPECIFIC_DEFAULT:
    case HttpConnectionManager::KEEP_UNCHANGED:
      return http::EscapedSlashes::kKeep;
    case HttpConnectionManager::REJECT_REQUEST:
      return http::EscapedSlashes::kReject;
    case HttpConnectionManager::UNESCAPE_AND_REDIRECT:
      return http::EscapedSlashes::kRedirect;
    case HttpConnectionManager::UNESCAPE_AND_FORWARD:
      return http::EscapedSlashes::kForward;
    default:
      Add(errors, path, "expected a value of PathWithEscapedSlashesAction");
      return http::EscapedSlashes::kReject;
  }
}

ServerField ReadServerField(HttpConnectionManager::ServerHeaderTransformation transformation,
                            const std::string& path, ConfigErrors& errors) {
  switch (transformation) {
    case HttpConnectionManager::OVERWRITE:
      return ServerField::kOverwrite;
    case HttpConnectionManager::APPEND_IF_ABSENT:
      return ServerField::kAddIfAbsent;
    case HttpConnectionManager::PASS_THROUGH:
      return ServerField::kPassThrough;
    default:
      Add(errors, path, "expected OVERWRITE, APPEND_IF_ABSENT or PASS_THROUGH");
      return ServerField::kPassThrough;
  }
}

UnderscoreNames ReadUnderscoreNames(CommonOptions::HeadersWithUnderscoresAction action,
                                    const std::string& path, ConfigErrors& errors) {
  switch (action) {
    case CommonOptions::ALLOW:
      return UnderscoreNames::kAllow;
    case CommonOptions::REJECT_REQUEST:
      return UnderscoreNames::kReject;
    case CommonOptions::DROP_HEADER:
      return UnderscoreNames::kDrop;
    default:
      Add(errors, path, "expected ALLOW, REJECT_REQUEST or DROP_HEADER");
      return UnderscoreNames::kReject;
  }
}

// Text that we put into a field.
void CheckFieldText(const std::string& text, const std::string& path, ConfigErrors& errors) {
  const char* const end = text.data() + text.size();
  if (http::SkipText(text.data(), end) != end || text.starts_with(' ') || text.ends_with(' ')) {
    Add(errors, path, "expected the value of a header field");
  }
}

ForwardClientCertificates ReadForwardMode(HttpConnectionManager::ForwardClientCertDetails mode,
                                          const std::string& path, ConfigErrors& errors) {
  switch (mode) {
    case HttpConnectionManager::SANITIZE:
      return ForwardClientCertificates::kSanitize;
    case HttpConnectionManager::FORWARD_ONLY:
      return ForwardClientCertificates::kForward;
    case HttpConnectionManager::APPEND_FORWARD:
      return ForwardClientCertificates::kAppend;
    case HttpConnectionManager::SANITIZE_SET:
      return ForwardClientCertificates::kSanitizeSet;
    case HttpConnectionManager::ALWAYS_FORWARD_ONLY:
      return ForwardClientCertificates::kAlwaysForward;
    default:
      Add(errors, path,
          "expected SANITIZE, FORWARD_ONLY, APPEND_FORWARD, SANITIZE_SET or ALWAYS_FORWARD_ONLY");
      return ForwardClientCertificates::kSanitize;
  }
}

ClientCertificatePolicy ReadClientCertificatePolicy(const HttpConnectionManager& proto,
                                                    const std::string& path, ConfigErrors& errors) {
  ClientCertificatePolicy policy;
  policy.mode = ReadForwardMode(proto.forward_client_cert_details(),
                                FieldPath(path, "forward_client_cert_details"), errors);
  const auto& details = proto.set_current_client_cert_details();
  policy.subject = details.subject().value();
  policy.uri = details.uri();
  policy.dns = details.dns();
  return policy;
}

HttpPolicy ReadPolicy(const HttpConnectionManager& proto, const std::string& path, ConfigErrors& errors) {
  HttpPolicy policy;
  policy.path.normalize = proto.normalize_path().value();
  policy.path.merge_slashes = proto.merge_slashes();
  policy.path.escaped_slashes = ReadEscapedSlashes(
      proto.path_with_escaped_slashes_action(), FieldPath(path, "path_with_escaped_slashes_action"), errors);
  policy.underscore_names = ReadUnderscoreNames(
      proto.common_http_protocol_options().headers_with_underscores_action(),
      FieldPath(FieldPath(path, "common_http_protocol_options"), "headers_with_underscores_action"), errors);
  policy.server = ReadServerField(proto.server_header_transformation(),
                                  FieldPath(path, "server_header_transformation"), errors);
  policy.server_name = proto.server_name().empty() ? "envoy" : proto.server_name();
  CheckFieldText(policy.server_name, FieldPath(path, "server_name"), errors);
  policy.client_certificate = ReadClientCertificatePolicy(proto, path, errors);
  policy.via = proto.via();
  CheckFieldText(policy.via, FieldPath(path, "via"), errors);
  policy.use_remote_address = proto.use_remote_address().value();
  policy.skip_xff_append = proto.skip_xff_append();
  policy.trusted_hops = proto.xff_num_trusted_hops();
  policy.answer_100_continue = !proto.proxy_100_continue();
  policy.accept_http10 = proto.http_protocol_options().accept_http_10();
  policy.default_host_for_http10 = proto.http_protocol_options().default_host_for_http_10();
  if (!policy.default_host_for_http10.empty() && !http::IsAuthority(policy.default_host_for_http10)) {
    Add(errors, FieldPath(FieldPath(path, "http_protocol_options"), "default_host_for_http_10"),
        "expected a host with or without a port");
  }
  policy.plain = !policy.path.any() && policy.underscore_names == UnderscoreNames::kAllow &&
                 policy.via.empty() && !policy.use_remote_address && policy.default_host_for_http10.empty();
  return policy;
}

void ReadOneFilter(const HttpFilter& filter, const std::string& path, bool last, HttpOptions& result,
                   std::vector<FilterEntry>& entries, ConfigErrors& errors) {
  const std::string config_path = FieldPath(path, "typed_config");
  const std::string type = TypeName(filter.typed_config());
  if (type == Router::descriptor()->full_name()) {
    Unpack<Router>(filter.typed_config(), config_path, errors);
    if (!last) Add(errors, path, "expected the router as the last filter");
    return;
  }
  if (last) Add(errors, path, "expected the router as the last filter");
  if (type == Peering::descriptor()->full_name()) {
    if (const auto peering = Unpack<Peering>(filter.typed_config(), config_path, errors)) {
      result.accept_peer_headers = peering->accept_peer_headers();
      result.allow_explain = peering->allow_explain();
      result.pass_upgrades = peering->pass_upgrades();
    }
  } else if (auto entry = ReadFilter(filter.name(), filter.typed_config(), config_path, errors)) {
    if (std::ranges::count(entries, entry->kind, &FilterEntry::kind) > 0)
      Add(errors, config_path, "expected each type of filter once in the list");
    if (entry->kind == FilterKind::kRbac) {
      const bool behind = std::ranges::count(entries, FilterKind::kJsonTranscoder, &FilterEntry::kind) > 0;
      result.access_judged = behind ? AccessJudged::kAsTranslated : AccessJudged::kAsTheyCome;
    }
    entry->disabled = entry->disabled || filter.disabled();
    entries.push_back(*std::move(entry));
  } else if (!filter.is_optional()) {
    Add(errors, config_path,
        "expected a filter that is implemented, found " + (type.empty() ? "none" : type));
  }
}

void ReadFilters(const HttpConnectionManager& proto, const std::string& path, HttpOptions& result,
                 ConfigErrors& errors) {
  if (proto.http_filters().empty()) Add(errors, path, "expected at least the router");
  std::set<std::string> names;
  std::vector<FilterEntry> entries;
  for (int i = 0; i < proto.http_filters_size(); ++i) {
    const HttpFilter& filter = proto.http_filters(i);
    const std::string filter_path = ElementPath(path, static_cast<size_t>(i));
    RequireText(filter.name(), FieldPath(filter_path, "name"), errors);
    if (!filter.name().empty() && !names.insert(filter.name()).second) {
      Add(errors, FieldPath(filter_path, "name"), "expected each name once in the list");
    }
    ReadOneFilter(filter, filter_path, i + 1 == proto.http_filters_size(), result, entries, errors);
  }
  if (!entries.empty()) result.filters = std::make_shared<const std::vector<FilterEntry>>(std::move(entries));
}

double ReadPercent(const envoy::type::v3::Percent& percent, const std::string& path, ConfigErrors& errors) {
  // Written so that NaN is refused too.
  if (percent.value() >= 0 && percent.value() <= 100) return percent.value();
  Add(errors, FieldPath(path, "value"), "expected a percentage from 0 to 100");
  return 0;
}

Tracing ReadTracing(const HttpConnectionManager::Tracing& proto, const std::string& path,
                    ConfigErrors& errors) {
  Tracing result;
  if (proto.has_client_sampling() && proto.client_sampling().value() != 100) {
    Add(errors, FieldPath(path, "client_sampling"), "expected 100; others are not implemented");
  }
  if (proto.has_random_sampling()) {
    result.random_sampling = ReadPercent(proto.random_sampling(), FieldPath(path, "random_sampling"), errors);
  }
  if (proto.has_overall_sampling()) {
    result.overall_sampling =
        ReadPercent(proto.overall_sampling(), FieldPath(path, "overall_sampling"), errors);
  }
  const std::string provider_path = FieldPath(path, "provider");
  if (!proto.has_provider()) {
    Add(errors, provider_path, "expected a provider");
    return result;
  }
  const std::string config_path = FieldPath(provider_path, "typed_config");
  const auto otel = Unpack<OpenTelemetryConfig>(proto.provider().typed_config(), config_path, errors);
  if (otel == nullptr) return result;
  const std::string grpc_path = FieldPath(config_path, "grpc_service");
  result.collector_cluster = ReadGrpcCluster(otel->grpc_service(), grpc_path, errors);
  if (otel->grpc_service().has_timeout()) {
    result.export_timeout =
        ReadDuration(otel->grpc_service().timeout(), FieldPath(grpc_path, "timeout"), errors, true);
  }
  if (!otel->service_name().empty()) result.service_name = otel->service_name();
  return result;
}

}  // namespace

std::optional<AccessLog> ReadAccessLog(
    const google::protobuf::RepeatedPtrField<envoy::config::accesslog::v3::AccessLog>& proto,
    const std::string& path, ConfigErrors& errors) {
  if (proto.empty()) return std::nullopt;
  if (proto.size() > 1) Add(errors, path, "expected at most one; others are not implemented");
  const std::string config_path = FieldPath(ElementPath(path, 0), "typed_config");
  const auto& any = proto[0].typed_config();
  if (TypeName(any) == StdoutAccessLog::descriptor()->full_name()) {
    Unpack<StdoutAccessLog>(any, config_path, errors);
    return AccessLog{.path = "/dev/stdout"};
  }
  if (TypeName(any) != FileAccessLog::descriptor()->full_name()) {
    Add(errors, config_path, "expected a StdoutAccessLog or FileAccessLog; others are not implemented");
    return std::nullopt;
  }
  const auto file = Unpack<FileAccessLog>(any, config_path, errors);
  if (file == nullptr) return std::nullopt;
  RequireText(file->path(), FieldPath(config_path, "path"), errors);
  return AccessLog{.path = file->path()};
}

HttpOptions ReadHttpOptions(const HttpConnectionManager& proto, const std::string& path, Origin origin,
                            ConfigErrors& errors) {
  HttpOptions result;
  result.stat_prefix = proto.stat_prefix();
  RequireText(proto.stat_prefix(), FieldPath(path, "stat_prefix"), errors);
  result.codec = ReadCodec(proto.codec_type(), FieldPath(path, "codec_type"), errors);
  ReadRoutes(proto, path, origin, result, errors);
  ReadTimeouts(proto, path, result, errors);
  ReadLimits(proto, path, result, errors);
  for (int i = 0; i < proto.upgrade_configs_size(); ++i) {
    const auto& one = proto.upgrade_configs(i);
    ReadUpgrade(one.upgrade_type(), !one.has_enabled() || one.enabled().value(),
                ElementPath(FieldPath(path, "upgrade_configs"), static_cast<size_t>(i)), result.upgrades,
                errors);
  }
  ReadFilters(proto, FieldPath(path, "http_filters"), result, errors);
  if (proto.has_tracing()) result.tracing = ReadTracing(proto.tracing(), FieldPath(path, "tracing"), errors);
  result.access_log = ReadAccessLog(proto.access_log(), FieldPath(path, "access_log"), errors);
  result.policy = ReadPolicy(proto, path, errors);
  if (proto.has_generate_request_id()) result.generate_request_id = proto.generate_request_id().value();
  return result;
}

}  // namespace pillion::config
