#include "sidecar/config/parse_dns.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"

namespace pillion::config {
namespace {

namespace cluster = envoy::config::cluster::v3;
namespace core = envoy::config::core::v3;

// Of one cluster. Attack: each is asked in turn when those before do not answer.
constexpr int kMaxServers = 8;
// RFC 1035 section 2.3.4, as written: without the length of the first label and the root's.
constexpr size_t kMaxNameBytes = 253;
constexpr size_t kMaxLabelBytes = 63;

// A pause that would be no pause.
nanoseconds ReadPause(const google::protobuf::Duration& duration, const std::string& path,
                      ConfigErrors& errors) {
  const nanoseconds pause = ReadDuration(duration, path, errors);
  if (pause <= std::chrono::milliseconds(1)) Add(errors, path, "expected more than 0.001s");
  return pause;
}

net::DnsFamily ReadFamily(cluster::Cluster::DnsLookupFamily family, const std::string& path,
                          ConfigErrors& errors) {
  switch (family) {
    case cluster::Cluster::AUTO:
      return net::DnsFamily::kAuto;
    case cluster::Cluster::V4_ONLY:
      return net::DnsFamily::kV4Only;
    case cluster::Cluster::V6_ONLY:
      return net::DnsFamily::kV6Only;
    case cluster::Cluster::V4_PREFERRED:
      return net::DnsFamily::kV4Preferred;
    case cluster::Cluster::ALL:
      return net::DnsFamily::kAll;
    default:
      Add(errors, path, "expected AUTO, V4_ONLY, V6_ONLY, V4_PREFERRED or ALL");
      return net::DnsFamily::kAuto;
  }
}

DnsBackoff ReadBackoff(const cluster::Cluster::RefreshRate& rate, const std::string& path,
                       ConfigErrors& errors) {
  const std::string base_path = FieldPath(path, "base_interval");
  DnsBackoff result;
  if (!rate.has_base_interval()) {
    Add(errors, base_path, "expected an interval");
    return result;
  }
  result.base = ReadPause(rate.base_interval(), base_path, errors);
  // The base may be as long as any duration; ten times that would overflow.
  result.max = std::min<nanoseconds>(result.base, std::chrono::seconds(kMaxDurationSeconds / 10)) * 10;
  if (!rate.has_max_interval()) return result;
  const std::string max_path = FieldPath(path, "max_interval");
  result.max = ReadPause(rate.max_interval(), max_path, errors);
  if (result.max < result.base) Add(errors, max_path, "expected base_interval or more");
  return result;
}

// Each field that says something about DNS, for a cluster that is not by DNS.
void RefuseDns(const cluster::Cluster& proto, const std::string& path, ConfigErrors& errors) {
  const std::pair<bool, const char*> fields[] = {
      {proto.has_dns_refresh_rate(), "dns_refresh_rate"},
      {proto.dns_resolvers_size() != 0, "dns_resolvers"},
      {proto.has_dns_failure_refresh_rate(), "dns_failure_refresh_rate"},
      {proto.has_dns_jitter(), "dns_jitter"},
      {proto.respect_dns_ttl(), "respect_dns_ttl"},
      {proto.dns_lookup_family() != cluster::Cluster::AUTO, "dns_lookup_family"},
  };
  for (const auto& [set, name] : fields) {
    if (set) Add(errors, FieldPath(path, name), "expected only with type STRICT_DNS or LOGICAL_DNS");
  }
}

void ReadServers(const cluster::Cluster& proto, const std::string& path, DnsOptions& result,
                 ConfigErrors& errors) {
  if (proto.dns_resolvers_size() > kMaxServers)
    Add(errors, path, "expected at most " + std::to_string(kMaxServers));
  const int count = std::min(proto.dns_resolvers_size(), kMaxServers);
  result.servers.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    const std::string one_path = ElementPath(path, static_cast<size_t>(i));
    result.servers.push_back(ReadAddress(proto.dns_resolvers(i), one_path, errors, false));
  }
}

// Letters, digits, '-' and '_' in labels; a dot at the end is allowed.
bool IsName(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > kMaxNameBytes) return false;
  size_t label = 0;
  for (const char c : text) {
    const bool dot = c == '.';
    const bool good =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if ((dot && label == 0) || (!dot && !good) || label > kMaxLabelBytes) return false;
    label = dot ? 0 : label + 1;
  }
  return label > 0 && label <= kMaxLabelBytes;
}

}  // namespace

void ReadDns(const cluster::Cluster& proto, const std::string& path, Cluster& result, ConfigErrors& errors) {
  if (proto.type() == cluster::Cluster::STRICT_DNS) {
    result.discovery = Cluster::Discovery::kStrictDns;
  } else if (proto.type() == cluster::Cluster::LOGICAL_DNS) {
    result.discovery = Cluster::Discovery::kLogicalDns;
  } else {
    RefuseDns(proto, path, errors);
    return;
  }
  DnsOptions& dns = result.dns;
  dns.family = ReadFamily(proto.dns_lookup_family(), FieldPath(path, "dns_lookup_family"), errors);
  ReadServers(proto, FieldPath(path, "dns_resolvers"), dns, errors);
  if (proto.has_dns_refresh_rate())
    dns.refresh = ReadPause(proto.dns_refresh_rate(), FieldPath(path, "dns_refresh_rate"), errors);
  dns.respect_ttl = proto.respect_dns_ttl();
  if (proto.has_dns_failure_refresh_rate()) {
    dns.backoff =
        ReadBackoff(proto.dns_failure_refresh_rate(), FieldPath(path, "dns_failure_refresh_rate"), errors);
  }
  if (proto.has_dns_jitter())
    dns.jitter = ReadDuration(proto.dns_jitter(), FieldPath(path, "dns_jitter"), errors);
  if (result.discovery != Cluster::Discovery::kLogicalDns || !proto.has_load_assignment()) return;
  const auto& localities = proto.load_assignment().endpoints();
  if (localities.size() != 1 || localities[0].lb_endpoints_size() != 1) {
    Add(errors, FieldPath(FieldPath(path, "load_assignment"), "endpoints"),
        "expected one locality with one endpoint; LOGICAL_DNS has no more");
  }
}

bool IsHostName(const core::Address& address) {
  const std::string& text = address.socket_address().address();
  return !text.empty() && !net::Address::Parse(text, 0).has_value();
}

NamedEndpoint ReadNamed(const core::Address& address, const std::string& path, Endpoint endpoint,
                        ConfigErrors& errors) {
  NamedEndpoint result;
  result.host = address.socket_address().address();
  result.endpoint = std::move(endpoint);
  const std::string socket_path = FieldPath(path, "socket_address");
  if (!IsName(result.host))
    Add(errors, FieldPath(socket_path, "address"), "expected an IP address or a host name");
  // The rest of it is as everywhere.
  core::Address known = address;
  known.mutable_socket_address()->set_address("0.0.0.0");
  result.port = ReadAddress(known, path, errors, false).port();
  return result;
}

}  // namespace pillion::config
