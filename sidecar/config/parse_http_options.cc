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

namespace pillion::config {
namespace {

using envoy::config::trace::v3::OpenTelemetryConfig;
using envoy::extensions::access_loggers::file::v3::FileAccessLog;
using envoy::extensions::access_loggers::stream::v3::StdoutAccessLog;
using envoy::extensions::filters::http::router::v3::Router;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
using sidecar::v1::Peering;

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
  const Http2Limits http2 =
      ReadHttp2(proto.http2_protocol_options(), FieldPath(path, "http2_protocol_options"), errors);
  result.max_concurrent_streams = http2.max_concurrent_streams;
  result.stream_window_bytes = http2.stream_window_bytes;
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
  if (proto.has_generate_request_id()) result.generate_request_id = proto.generate_request_id().value();
  return result;
}

}  // namespace pillion::config
