// Readers of the field types that several resources share. Each adds what is wrong to `errors` and then
// returns something harmless, so that validation goes on and finds the rest. `path` is the field's
// (field_path.h). For the parsers in this folder only.
#ifndef PILLION_SIDECAR_CONFIG_FIELDS_H_
#define PILLION_SIDECAR_CONFIG_FIELDS_H_

#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/wrappers.pb.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "envoy/config/core/v3/core.pb.h"
#include "sidecar/config/keep_alive.h"
#include "sidecar/config/route_table.h"
#include "sidecar/config/unknown_fields.h"
#include "sidecar/config/validated.h"
#include "sidecar/net/address.h"
#include "sidecar/net/cidr_range.h"

namespace pillion::config {

using std::chrono::nanoseconds;

// Beyond this a time-out means "never" and would overflow when added to a clock: 100 years.
inline constexpr int64_t kMaxDurationSeconds = int64_t{100} * 365 * 86400;

inline void Add(ConfigErrors& errors, std::string path, std::string message) {
  errors.push_back({std::move(path), std::move(message)});
}

// Not negative; `positive`: not 0 either.
nanoseconds ReadDuration(const google::protobuf::Duration& duration, const std::string& path,
                         ConfigErrors& errors, bool positive = false);

// Within [min, max].
uint32_t ReadNumber(const google::protobuf::UInt32Value& value, const std::string& path, ConfigErrors& errors,
                    uint32_t min, uint32_t max);

Fraction ReadFraction(const envoy::type::v3::FractionalPercent& share, const std::string& path,
                      ConfigErrors& errors);
// What a running process can be told otherwise elsewhere; here the default holds.
Fraction ReadFraction(const envoy::config::core::v3::RuntimeFractionalPercent& share, const std::string& path,
                      ConfigErrors& errors);

// RFC 9110 section 5.1.
bool IsFieldName(std::string_view name);
// As heads hold fields of requests: in lower case, Host as :authority.
std::string RequestFieldName(std::string_view name);
// Such a name, of a field or :authority, :method, :path or :scheme.
std::string ReadRequestField(const std::string& name, const std::string& path, ConfigErrors& errors);

void RequireText(const std::string& text, const std::string& path, ConfigErrors& errors);

// An IP literal and a port. `any_port`: 0 is allowed.
net::Address ReadAddress(const envoy::config::core::v3::Address& address, const std::string& path,
                         ConfigErrors& errors, bool any_port);

// IPv4 or IPv6; without a length all addresses of the family.
net::CidrRange ReadCidr(const envoy::config::core::v3::CidrRange& range, const std::string& path,
                        ConfigErrors& errors);

// The initial fetch time-out of a source that must be the ADS stream.
nanoseconds ReadAdsSource(const envoy::config::core::v3::ConfigSource& source, const std::string& path,
                          ConfigErrors& errors);

// The cluster that a gRPC service is reached through.
std::string ReadGrpcCluster(const envoy::config::core::v3::GrpcService& service, const std::string& path,
                            ConfigErrors& errors);

struct Http2Limits {
  uint32_t max_concurrent_streams = 1024;
  uint32_t stream_window_bytes = 256 * 1024;
  std::optional<KeepAlive> keep_alive;
};
Http2Limits ReadHttp2(const envoy::config::core::v3::Http2ProtocolOptions& options, const std::string& path,
                      ConfigErrors& errors);

// One more rule of a list: its type must be a name, and not there before.
void ReadUpgrade(const std::string& type, bool enabled, const std::string& path,
                 std::vector<UpgradeRule>& rules, ConfigErrors& errors);

// The full name of the type inside an Any.
std::string TypeName(const google::protobuf::Any& any);

// The message inside an Any that must be a T; nothing, with an error, when it is not.
template <typename T>
std::unique_ptr<T> Unpack(const google::protobuf::Any& any, const std::string& path, ConfigErrors& errors) {
  auto message = std::make_unique<T>();
  if (TypeName(any) != T::descriptor()->full_name()) {
    Add(errors, path, "expected a " + T::descriptor()->full_name());
    return nullptr;
  }
  if (!message->ParseFromString(any.value())) {
    Add(errors, path, "expected a serialized " + T::descriptor()->full_name());
    return nullptr;
  }
  return message;
}

// The answer about one whole proto.
template <typename T>
Validated<T> Finish(T value, ConfigErrors errors, const google::protobuf::Message& proto) {
  Validated<T> result;
  if (errors.empty()) result.value = std::make_shared<const T>(std::move(value));
  result.errors = std::move(errors);
  for (UnknownField& field : UnknownFields(proto)) {
    // Some readers take none, whatever may be let through elsewhere.
    if (std::ranges::count(result.errors, field.path, &ConfigError::path) > 0) continue;
    Add(result.unsupported, std::move(field.path), std::move(field.message));
  }
  return result;
}

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_FIELDS_H_
