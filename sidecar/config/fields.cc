#include "sidecar/config/fields.h"

#include <algorithm>
#include <array>

#include "sidecar/base/text.h"
#include "sidecar/config/field_path.h"
#include "sidecar/http/scan.h"

namespace pillion::config {
namespace {

namespace core = envoy::config::core::v3;

constexpr int32_t kNanosPerSecond = 1'000'000'000;
// RFC 9113 section 6.9.2: the window that a peer may use before it has our SETTINGS.
constexpr uint32_t kMinWindowBytes = 65'535;
constexpr uint32_t kMaxHttp2Number = 0x7fff'ffff;

void RequireV3(core::ApiVersion version, const std::string& path, ConfigErrors& errors) {
  if (version != core::V3 && version != core::AUTO) Add(errors, path, "expected V3");
}

}  // namespace

nanoseconds ReadDuration(const google::protobuf::Duration& duration, const std::string& path,
                         ConfigErrors& errors, bool positive) {
  const bool valid = duration.nanos() > -kNanosPerSecond && duration.nanos() < kNanosPerSecond;
  const bool negative = duration.seconds() < 0 || duration.nanos() < 0;
  const bool zero = duration.seconds() == 0 && duration.nanos() == 0;
  if (!valid || negative || (positive && zero)) {
    Add(errors, path, positive ? "expected a duration of more than 0" : "expected a duration of 0 or more");
    return nanoseconds(0);
  }
  if (duration.seconds() > kMaxDurationSeconds) {
    Add(errors, path, "expected a duration of at most " + std::to_string(kMaxDurationSeconds) + "s");
    return nanoseconds(0);
  }
  return std::chrono::seconds(duration.seconds()) + nanoseconds(duration.nanos());
}

uint32_t ReadNumber(const google::protobuf::UInt32Value& value, const std::string& path, ConfigErrors& errors,
                    uint32_t min, uint32_t max) {
  if (value.value() >= min && value.value() <= max) return value.value();
  Add(errors, path, "expected a number from " + std::to_string(min) + " to " + std::to_string(max));
  return min;
}

Fraction ReadFraction(const envoy::type::v3::FractionalPercent& share, const std::string& path,
                      ConfigErrors& errors) {
  using Percent = envoy::type::v3::FractionalPercent;
  constexpr std::array<uint32_t, 3> kDenominators = {100, 10'000, 1'000'000};
  Fraction result;
  if (!Percent::DenominatorType_IsValid(share.denominator())) {
    Add(errors, FieldPath(path, "denominator"), "expected HUNDRED, TEN_THOUSAND or MILLION");
    return result;
  }
  result.denominator = kDenominators.at(static_cast<size_t>(share.denominator()));
  result.numerator = share.numerator();
  if (result.numerator > result.denominator) {
    Add(errors, FieldPath(path, "numerator"), "expected at most " + std::to_string(result.denominator));
  }
  return result;
}

Fraction ReadFraction(const envoy::config::core::v3::RuntimeFractionalPercent& share, const std::string& path,
                      ConfigErrors& errors) {
  const std::string value_path = FieldPath(path, "default_value");
  if (!share.has_default_value()) Add(errors, value_path, "expected a share");
  return ReadFraction(share.default_value(), value_path, errors);
}

bool IsFieldName(std::string_view name) {
  return !name.empty() &&
         http::SkipToken(name.data(), name.data() + name.size()) == name.data() + name.size();
}

std::string RequestFieldName(std::string_view name) {
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(), AsciiLower);
  return lower == "host" ? ":authority" : lower;
}

std::string ReadRequestField(const std::string& name, const std::string& path, ConfigErrors& errors) {
  std::string lower = RequestFieldName(name);
  const bool pseudo = lower == ":authority" || lower == ":method" || lower == ":path" || lower == ":scheme";
  if (!pseudo && !IsFieldName(lower))
    Add(errors, path, "expected a field name, :authority, :method, :path or :scheme");
  return lower;
}

void RequireText(const std::string& text, const std::string& path, ConfigErrors& errors) {
  if (text.empty()) Add(errors, path, "expected at least 1 character");
}

net::Address ReadAddress(const core::Address& address, const std::string& path, ConfigErrors& errors,
                         bool any_port) {
  const std::string socket_path = FieldPath(path, "socket_address");
  if (!address.has_socket_address()) {
    Add(errors, socket_path, "expected an address");
    return {};
  }
  const core::SocketAddress& socket = address.socket_address();
  const uint32_t port = socket.port_value();
  if (socket.protocol() != core::SocketAddress::TCP) {
    Add(errors, FieldPath(socket_path, "protocol"), "expected TCP; others are not implemented");
  }
  if (socket.port_specifier_case() == core::SocketAddress::PORT_SPECIFIER_NOT_SET) {
    Add(errors, FieldPath(socket_path, "port_value"), "expected a port");
  } else if (port > UINT16_MAX || (port == 0 && !any_port)) {
    Add(errors, FieldPath(socket_path, "port_value"),
        std::string("expected a port from ") + (any_port ? "0" : "1") + " to 65535");
  }
  const auto parsed = net::Address::Parse(socket.address(), static_cast<uint16_t>(port));
  if (!parsed) Add(errors, FieldPath(socket_path, "address"), "expected an IPv4 or IPv6 address");
  return parsed.value_or(net::Address());
}

net::CidrRange ReadCidr(const core::CidrRange& proto, const std::string& path, ConfigErrors& errors) {
  net::CidrRange result;
  const auto base = net::Address::Parse(proto.address_prefix(), 0);
  if (!base) {
    Add(errors, FieldPath(path, "address_prefix"), "expected an IPv4 or IPv6 address");
    return result;
  }
  result.base = *base;
  if (proto.has_prefix_len()) {
    const uint32_t most = base->family() == AF_INET6 ? 128 : 32;
    result.bits = ReadNumber(proto.prefix_len(), FieldPath(path, "prefix_len"), errors, 0, most);
  }
  return result;
}

nanoseconds ReadAdsSource(const core::ConfigSource& source, const std::string& path, ConfigErrors& errors) {
  if (!source.has_ads()) Add(errors, FieldPath(path, "ads"), "expected ads; others are not implemented");
  RequireV3(source.resource_api_version(), FieldPath(path, "resource_api_version"), errors);
  if (!source.has_initial_fetch_timeout()) return std::chrono::seconds(15);
  return ReadDuration(source.initial_fetch_timeout(), FieldPath(path, "initial_fetch_timeout"), errors);
}

std::string ReadGrpcCluster(const core::GrpcService& service, const std::string& path, ConfigErrors& errors) {
  RequireText(service.envoy_grpc().cluster_name(), FieldPath(FieldPath(path, "envoy_grpc"), "cluster_name"),
              errors);
  return service.envoy_grpc().cluster_name();
}

Http2Limits ReadHttp2(const core::Http2ProtocolOptions& options, const std::string& path,
                      ConfigErrors& errors) {
  Http2Limits limits;
  if (options.has_max_concurrent_streams()) {
    limits.max_concurrent_streams =
        ReadNumber(options.max_concurrent_streams(), FieldPath(path, "max_concurrent_streams"), errors, 1,
                   kMaxHttp2Number);
  }
  if (options.has_initial_stream_window_size()) {
    limits.stream_window_bytes =
        ReadNumber(options.initial_stream_window_size(), FieldPath(path, "initial_stream_window_size"),
                   errors, kMinWindowBytes, kMaxHttp2Number);
  }
  if (options.has_connection_keepalive()) {
    const std::string keep_path = FieldPath(path, "connection_keepalive");
    const auto& keep = options.connection_keepalive();
    limits.keep_alive =
        KeepAlive{ReadDuration(keep.interval(), FieldPath(keep_path, "interval"), errors, true),
                  ReadDuration(keep.timeout(), FieldPath(keep_path, "timeout"), errors, true)};
  }
  return limits;
}

void ReadUpgrade(const std::string& type, bool enabled, const std::string& path,
                 std::vector<UpgradeRule>& rules, ConfigErrors& errors) {
  const std::string type_path = FieldPath(path, "upgrade_type");
  if (type.empty() || type.find_first_of(", \t\r\n") != std::string::npos) {
    Add(errors, type_path, "expected the name of a protocol, or CONNECT");
  } else if (EqualsIgnoreCase(type, "h2c")) {
    Add(errors, type_path, "expected another protocol; HTTP/2 is spoken by prior knowledge");
  }
  for (const UpgradeRule& rule : rules) {
    if (EqualsIgnoreCase(rule.type, type)) Add(errors, type_path, "expected each type once");
  }
  rules.push_back({type, enabled});
}

std::string TypeName(const google::protobuf::Any& any) {
  return any.type_url().substr(any.type_url().rfind('/') + 1);
}

}  // namespace pillion::config
