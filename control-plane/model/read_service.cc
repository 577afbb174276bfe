// Metadata, Service and EndpointSlice.
#include <arpa/inet.h>

#include <algorithm>
#include <limits>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/time/time.h"
#include "control-plane/model/read.h"
#include "sidecar/config/field_path.h"

namespace pillion::control {
namespace {

using config::ElementPath;
using config::EntryPath;
using config::FieldPath;

constexpr char kPeerLabel[] = "pillion/sidecar";
constexpr char kServiceLabel[] = "kubernetes.io/service-name";

// In its one canonical spelling (RFC 5952): one address under two names would be two endpoints, which the
// sidecar refuses.
std::optional<std::string> CanonicalIp(int family, const std::string& text) {
  in6_addr address;
  if (inet_pton(family, text.c_str(), &address) != 1) return std::nullopt;
  char canonical[INET6_ADDRSTRLEN];
  return inet_ntop(family, &address, canonical, sizeof(canonical));
}

// Unknown protocols are not errors: the objects are taken as they are, and such a port is simply not ours.
AppProtocol ReadAppProtocol(const std::string& text) {
  if (text.empty() || text == "http" || text == "kubernetes.io/ws") return AppProtocol::kHttp1;
  if (text == "kubernetes.io/h2c" || text == "grpc" || text == "http2") return AppProtocol::kHttp2;
  return AppProtocol::kNotHttp;
}

// As written, but in lower case: names that differ in nothing else are one.
std::optional<std::string> DnsName(const std::string& text) {
  const std::string name = absl::AsciiStrToLower(text);
  const std::string_view relative(name.data(), name.size() - (name.ends_with('.') ? 1 : 0));
  return IsDnsSubdomain(relative) ? std::optional(name) : std::nullopt;
}

// The hosts of a slice are all of one type.
std::optional<std::string> ReadHost(EndpointSlice::Type type, const std::string& text) {
  switch (type) {
    case EndpointSlice::Type::kIpv4:
      return CanonicalIp(AF_INET, text);
    case EndpointSlice::Type::kIpv6:
      return CanonicalIp(AF_INET6, text);
    case EndpointSlice::Type::kNames:
      return DnsName(text);
  }
  return std::nullopt;
}

bool IsTcp(const std::string& protocol, const std::string& path, Report& report) {
  if (protocol.empty() || protocol == "TCP") return true;
  if (protocol != "UDP" && protocol != "SCTP") report.Add(path, "expected TCP, UDP or SCTP");
  return false;
}

Health HealthOf(const kube::discovery::v1::EndpointConditions& conditions) {
  const bool ready = !conditions.has_ready() || conditions.ready();
  if (ready && !conditions.terminating()) return Health::kReady;
  const bool serving = conditions.has_serving() ? conditions.serving() : ready;
  return conditions.terminating() && serving ? Health::kDraining : Health::kNotReady;
}

}  // namespace

std::string_view KindOf(const Object& object) {
  constexpr std::string_view kKinds[] = {
      "Service",        "EndpointSlice", "HTTPRoute",           "GRPCRoute",
      "ReferenceGrant", "RetryPolicy",   "LoadBalancingPolicy", "CircuitBreakerPolicy",
      "HealthPolicy",   "TracingPolicy", "FaultPolicy",         "RateLimitPolicy",
      "DirectResponse", "XdsOverride",   "IdempotencyPolicy"};
  return kKinds[object.index()];
}

Metadata ReadMetadata(const kube::meta::v1::ObjectMeta& message, Report& report) {
  Metadata metadata;
  metadata.name = {message.namespace_().empty() ? "default" : message.namespace_(), message.name()};
  metadata.origin = report.origin();
  if (!IsDnsSubdomain(message.name())) report.Add("metadata.name", "expected a DNS name");
  if (!IsDnsLabel(metadata.name.ns)) report.Add("metadata.namespace", "expected a DNS label");
  metadata.created = std::numeric_limits<int64_t>::max();
  if (!message.creation_timestamp().empty()) {
    absl::Time time;
    std::string error;
    if (absl::ParseTime(absl::RFC3339_full, message.creation_timestamp(), &time, &error)) {
      metadata.created = absl::ToUnixSeconds(time);
    } else {
      report.Add("metadata.creation_timestamp", "expected a time as in RFC 3339, 2026-01-31T12:00:00Z");
    }
  }
  return metadata;
}

std::optional<bool> ReadPeerLabel(const kube::meta::v1::ObjectMeta& message, Report& report) {
  const auto label = message.labels().find(kPeerLabel);
  if (label == message.labels().end()) return std::nullopt;
  if (label->second != "true" && label->second != "false") {
    report.Add(EntryPath("metadata.labels", kPeerLabel), "expected \"true\" or \"false\"");
  }
  return label->second == "true";
}

std::vector<std::string> ReadClusterIps(const kube::core::v1::ServiceSpec& spec, Report& report) {
  std::vector<std::string> ips;
  const auto add = [&](const std::string& text, const std::string& path) {
    if (text.empty() || text == "None") return;
    std::optional<std::string> ip = CanonicalIp(AF_INET, text);
    if (!ip.has_value()) ip = CanonicalIp(AF_INET6, text);
    // An IPv4 address in another spelling would be a Service's, too.
    if (!ip.has_value() || ip->starts_with("::ffff:")) {
      report.Add(path, "expected an IP address or None");
    } else if (std::ranges::find(ips, *ip) == ips.end()) {
      ips.push_back(*std::move(ip));
    }
  };
  for (int i = 0; i < spec.cluster_ips_size(); ++i)
    add(spec.cluster_ips(i), ElementPath("spec.cluster_ips", static_cast<size_t>(i)));
  add(spec.cluster_ip(), "spec.cluster_ip");
  return ips;
}

std::optional<Service> Read(const kube::core::v1::Service& message, Report& report) {
  Service service;
  service.metadata = ReadMetadata(message.metadata(), report);
  if (!IsDnsLabel(message.metadata().name())) report.Add("metadata.name", "expected a DNS label");
  service.peer = ReadPeerLabel(message.metadata(), report).value_or(false);
  const auto& families = message.spec().ip_families();
  service.prefers_ipv6 = !families.empty() && families[0] == "IPv6";
  if (message.spec().type() == "ExternalName") {
    service.external_name = DnsName(message.spec().external_name()).value_or("");
    if (service.external_name.empty()) report.Add("spec.external_name", "expected a DNS name");
  } else {
    service.cluster_ips = ReadClusterIps(message.spec(), report);
  }
  std::set<uint16_t> seen;
  std::set<std::string> names;
  for (int i = 0; i < message.spec().ports_size(); ++i) {
    const auto& port = message.spec().ports(i);
    const std::string path = ElementPath("spec.ports", static_cast<size_t>(i));
    const std::optional<uint16_t> number = ReadPort(port.port(), FieldPath(path, "port"), report);
    if (!number.has_value() || !IsTcp(port.protocol(), FieldPath(path, "protocol"), report)) continue;
    if (!seen.insert(*number).second)
      report.Add(FieldPath(path, "port"), "expected another port, it is here twice");
    if (port.name().empty() && message.spec().ports_size() > 1) {
      report.Add(path, "expected a name, there are several ports");
    } else if (!names.insert(port.name()).second) {
      report.Add(FieldPath(path, "name"), "expected another name, it is here twice");
    }
    service.ports.push_back(
        {port.name(), *number, ReadAppProtocol(port.app_protocol()), port.app_protocol().empty()});
  }
  if (report.failed()) return std::nullopt;
  return service;
}

std::optional<EndpointSlice> Read(const kube::discovery::v1::EndpointSlice& message, Report& report) {
  EndpointSlice slice;
  slice.metadata = ReadMetadata(message.metadata(), report);
  slice.peer = ReadPeerLabel(message.metadata(), report);
  const auto service = message.metadata().labels().find(kServiceLabel);
  if (service == message.metadata().labels().end()) {
    report.Add("metadata.labels", std::string("expected the label ") + kServiceLabel);
  } else {
    slice.service = {slice.metadata.name.ns, service->second};
  }
  if (message.address_type() == "IPv6") {
    slice.type = EndpointSlice::Type::kIpv6;
  } else if (message.address_type() == "FQDN") {
    slice.type = EndpointSlice::Type::kNames;
  } else if (message.address_type() != "IPv4") {
    report.Add("address_type", "expected IPv4, IPv6 or FQDN");
  }
  for (int i = 0; i < message.ports_size(); ++i) {
    const auto& port = message.ports(i);
    const std::string path = ElementPath("ports", static_cast<size_t>(i));
    if (!IsTcp(port.protocol(), FieldPath(path, "protocol"), report) || !port.has_port()) continue;
    const std::optional<uint16_t> number = ReadPort(port.port(), FieldPath(path, "port"), report);
    if (number.has_value()) slice.ports.push_back({port.name(), *number});
  }
  for (int i = 0; i < message.endpoints_size(); ++i) {
    const auto& endpoint = message.endpoints(i);
    const std::string path = ElementPath("endpoints", static_cast<size_t>(i));
    if (endpoint.addresses_size() == 0) {
      report.Add(path, "expected addresses");
      continue;
    }
    std::string host;
    for (int a = endpoint.addresses_size() - 1; a >= 0; --a) {
      if (std::optional<std::string> good = ReadHost(slice.type, endpoint.addresses(a))) {
        host = *std::move(good);
        continue;
      }
      report.Add(ElementPath(FieldPath(path, "addresses"), static_cast<size_t>(a)),
                 slice.type == EndpointSlice::Type::kNames
                     ? "expected a DNS name"
                     : "expected an " + message.address_type() + " address");
    }
    slice.endpoints.push_back({std::move(host), HealthOf(endpoint.conditions()), endpoint.zone()});
  }
  if (report.failed()) return std::nullopt;
  return slice;
}

}  // namespace pillion::control
