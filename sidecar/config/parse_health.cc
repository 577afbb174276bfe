#include "sidecar/config/parse_health.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/http/target.h"

namespace pillion::config {
namespace {

namespace core = envoy::config::core::v3;
namespace cluster = envoy::config::cluster::v3;

constexpr int kMostChecks = 4;
constexpr size_t kMostPayloadBytes = 4096;

std::string ReadPayload(const core::HealthCheck::Payload& proto, const std::string& path,
                        ConfigErrors& errors) {
  std::string bytes;
  if (proto.has_text()) {
    const std::string& text = proto.text();
    const bool hexadecimal =
        text.size() % 2 == 0 && text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
    if (!hexadecimal) Add(errors, FieldPath(path, "text"), "expected pairs of hexadecimal digits");
    if (hexadecimal) bytes = absl::HexStringToBytes(text);
  } else {
    bytes = proto.binary();
  }
  if (proto.text().empty() && proto.binary().empty()) Add(errors, path, "expected text or binary, not empty");
  if (bytes.size() > kMostPayloadBytes)
    Add(errors, path, absl::StrCat("expected at most ", kMostPayloadBytes, " bytes"));
  return bytes;
}

using StatusRanges = std::vector<std::pair<uint32_t, uint32_t>>;

StatusRanges ReadStatuses(const google::protobuf::RepeatedPtrField<envoy::type::v3::Int64Range>& proto,
                          const std::string& path, ConfigErrors& errors) {
  StatusRanges result;
  for (int i = 0; i < proto.size(); ++i) {
    const auto& range = proto[i];
    if (range.start() < 100 || range.end() > 600 || range.start() >= range.end()) {
      Add(errors, ElementPath(path, static_cast<size_t>(i)),
          "expected a start of at least 100 and an end behind it of at most 600");
      continue;
    }
    result.emplace_back(static_cast<uint32_t>(range.start()), static_cast<uint32_t>(range.end()));
  }
  return result;
}

const char* ReadMethod(core::RequestMethod method, const std::string& path, ConfigErrors& errors) {
  switch (method) {
    case core::METHOD_UNSPECIFIED:
    case core::GET:
      return "GET";
    case core::HEAD:
      return "HEAD";
    case core::POST:
      return "POST";
    case core::PUT:
      return "PUT";
    case core::DELETE:
      return "DELETE";
    case core::OPTIONS:
      return "OPTIONS";
    case core::TRACE:
      return "TRACE";
    case core::PATCH:
      return "PATCH";
    default:
      Add(errors, path, "expected a method other than CONNECT");
      return "GET";
  }
}

void ReadHttpCheck(const core::HealthCheck::HttpHealthCheck& proto, const std::string& path,
                   HealthCheck& result, ConfigErrors& errors) {
  result.kind = HealthCheck::Kind::kHttp;
  result.host = proto.host();
  if (!result.host.empty() && !http::IsAuthority(result.host))
    Add(errors, FieldPath(path, "host"), "expected a host, maybe with a port");
  result.path = proto.path();
  if (!result.path.starts_with('/') || !http::IsOriginForm(result.path))
    Add(errors, FieldPath(path, "path"), "expected a path: / and visible ASCII without #");
  result.method = ReadMethod(proto.method(), FieldPath(path, "method"), errors);
  result.expected = ReadStatuses(proto.expected_statuses(), FieldPath(path, "expected_statuses"), errors);
  if (result.expected.empty()) result.expected = {{200, 201}};
  result.retriable = ReadStatuses(proto.retriable_statuses(), FieldPath(path, "retriable_statuses"), errors);
  switch (proto.codec_client_type()) {
    case envoy::type::v3::HTTP1:
      break;
    case envoy::type::v3::HTTP2:
      result.http2 = true;
      break;
    default:
      Add(errors, FieldPath(path, "codec_client_type"),
          "expected HTTP1 or HTTP2; others are not implemented");
  }
}

void ReadTcpCheck(const core::HealthCheck::TcpHealthCheck& proto, const std::string& path,
                  HealthCheck& result, ConfigErrors& errors) {
  result.kind = HealthCheck::Kind::kTcp;
  if (proto.has_send()) result.send = ReadPayload(proto.send(), FieldPath(path, "send"), errors);
  for (int i = 0; i < proto.receive_size(); ++i) {
    result.receive.push_back(ReadPayload(
        proto.receive(i), ElementPath(FieldPath(path, "receive"), static_cast<size_t>(i)), errors));
  }
}

HealthCheck ReadHealthCheck(const core::HealthCheck& proto, const std::string& path, ConfigErrors& errors) {
  HealthCheck result;
  const auto read = [&](bool present, const google::protobuf::Duration& value, const char* name,
                        nanoseconds& into, bool positive) {
    if (present) into = ReadDuration(value, FieldPath(path, name), errors, positive);
  };
  read(true, proto.timeout(), "timeout", result.timeout, true);
  read(true, proto.interval(), "interval", result.interval, true);
  read(proto.has_initial_jitter(), proto.initial_jitter(), "initial_jitter", result.initial_jitter, false);
  read(proto.has_interval_jitter(), proto.interval_jitter(), "interval_jitter", result.jitter, false);
  result.jitter_percent = proto.interval_jitter_percent();
  if (result.jitter_percent > 1000)
    Add(errors, FieldPath(path, "interval_jitter_percent"), "expected at most 1000");
  result.unhealthy_interval = result.interval;
  result.healthy_edge_interval = result.interval;
  read(proto.has_no_traffic_interval(), proto.no_traffic_interval(), "no_traffic_interval",
       result.no_traffic_interval, true);
  read(proto.has_unhealthy_interval(), proto.unhealthy_interval(), "unhealthy_interval",
       result.unhealthy_interval, true);
  result.unhealthy_edge_interval = result.unhealthy_interval;
  read(proto.has_unhealthy_edge_interval(), proto.unhealthy_edge_interval(), "unhealthy_edge_interval",
       result.unhealthy_edge_interval, true);
  read(proto.has_healthy_edge_interval(), proto.healthy_edge_interval(), "healthy_edge_interval",
       result.healthy_edge_interval, true);
  result.unhealthy_threshold =
      ReadNumber(proto.unhealthy_threshold(), FieldPath(path, "unhealthy_threshold"), errors, 1, UINT32_MAX);
  result.healthy_threshold =
      ReadNumber(proto.healthy_threshold(), FieldPath(path, "healthy_threshold"), errors, 1, UINT32_MAX);
  if (proto.has_alt_port()) {
    result.alt_port = static_cast<uint16_t>(
        ReadNumber(proto.alt_port(), FieldPath(path, "alt_port"), errors, 1, UINT16_MAX));
  }
  switch (proto.health_checker_case()) {
    case core::HealthCheck::kHttpHealthCheck:
      ReadHttpCheck(proto.http_health_check(), FieldPath(path, "http_health_check"), result, errors);
      break;
    case core::HealthCheck::kTcpHealthCheck:
      ReadTcpCheck(proto.tcp_health_check(), FieldPath(path, "tcp_health_check"), result, errors);
      break;
    case core::HealthCheck::kGrpcHealthCheck: {
      result.kind = HealthCheck::Kind::kGrpc;
      result.http2 = true;
      result.service = proto.grpc_health_check().service_name();
      result.host = proto.grpc_health_check().authority();
      if (!result.host.empty() && !http::IsAuthority(result.host)) {
        Add(errors, FieldPath(FieldPath(path, "grpc_health_check"), "authority"),
            "expected a host, maybe with a port");
      }
      break;
    }
    case core::HealthCheck::HEALTH_CHECKER_NOT_SET:
      Add(errors, path, "expected http_health_check, tcp_health_check or grpc_health_check");
  }
  return result;
}

}  // namespace

std::optional<OutlierDetection> ReadOutlierDetection(const cluster::Cluster& proto, const std::string& path,
                                                     ConfigErrors& errors) {
  if (!proto.has_outlier_detection()) return std::nullopt;
  const auto& from = proto.outlier_detection();
  const std::string at = FieldPath(path, "outlier_detection");
  OutlierDetection result;
  const auto number = [&](bool present, const google::protobuf::UInt32Value& value, const char* name,
                          uint32_t& into, uint32_t most) {
    if (present) into = ReadNumber(value, FieldPath(at, name), errors, 0, most);
  };
#define PILLION_NUMBER(field, member, most) \
  number(from.has_##field(), from.field(), #field, result.member, most)
  PILLION_NUMBER(consecutive_5xx, server_errors, UINT32_MAX);
  PILLION_NUMBER(consecutive_gateway_failure, gateway_failures, UINT32_MAX);
  PILLION_NUMBER(consecutive_local_origin_failure, local_failures, UINT32_MAX);
  PILLION_NUMBER(enforcing_consecutive_5xx, enforce_server_errors, 100);
  PILLION_NUMBER(enforcing_consecutive_gateway_failure, enforce_gateway_failures, 100);
  PILLION_NUMBER(enforcing_consecutive_local_origin_failure, enforce_local_failures, 100);
  PILLION_NUMBER(max_ejection_percent, most_percent, 100);
  PILLION_NUMBER(enforcing_success_rate, enforce_success_rate, 100);
  PILLION_NUMBER(enforcing_local_origin_success_rate, enforce_local_success_rate, 100);
  PILLION_NUMBER(success_rate_minimum_hosts, success_rate_hosts, UINT32_MAX);
  PILLION_NUMBER(success_rate_request_volume, success_rate_volume, UINT32_MAX);
  PILLION_NUMBER(success_rate_stdev_factor, success_rate_factor, UINT32_MAX);
  PILLION_NUMBER(failure_percentage_threshold, failure_threshold, 100);
  PILLION_NUMBER(failure_percentage_minimum_hosts, failure_hosts, UINT32_MAX);
  PILLION_NUMBER(failure_percentage_request_volume, failure_volume, UINT32_MAX);
  PILLION_NUMBER(enforcing_failure_percentage, enforce_failure, 100);
  PILLION_NUMBER(enforcing_failure_percentage_local_origin, enforce_local_failure, 100);
#undef PILLION_NUMBER
  const auto duration = [&](bool present, const google::protobuf::Duration& value, const char* name,
                            nanoseconds& into, bool positive) {
    if (present) into = ReadDuration(value, FieldPath(at, name), errors, positive);
  };
  duration(from.has_interval(), from.interval(), "interval", result.interval, true);
  duration(from.has_base_ejection_time(), from.base_ejection_time(), "base_ejection_time",
           result.base_ejection, true);
  duration(from.has_max_ejection_time(), from.max_ejection_time(), "max_ejection_time",
           result.longest_ejection, true);
  duration(from.has_max_ejection_time_jitter(), from.max_ejection_time_jitter(), "max_ejection_time_jitter",
           result.jitter, false);
  result.split_local = from.split_external_local_origin_errors();
  result.always_one = from.always_eject_one_host().value();
  if (from.has_successful_active_health_check_uneject_host())
    result.checks_uneject = from.successful_active_health_check_uneject_host().value();
  return result;
}

std::vector<HealthCheck> ReadHealthChecks(const cluster::Cluster& proto, const std::string& path,
                                          ConfigErrors& errors) {
  const std::string checks_path = FieldPath(path, "health_checks");
  if (proto.health_checks_size() > kMostChecks)
    Add(errors, checks_path, absl::StrCat("expected at most ", kMostChecks));
  std::vector<HealthCheck> result;
  for (int i = 0; i < proto.health_checks_size() && i < kMostChecks; ++i) {
    result.push_back(
        ReadHealthCheck(proto.health_checks(i), ElementPath(checks_path, static_cast<size_t>(i)), errors));
  }
  return result;
}

}  // namespace pillion::config
