// How the names of a cluster are resolved. A value.
#ifndef PILLION_SIDECAR_CONFIG_DNS_OPTIONS_H_
#define PILLION_SIDECAR_CONFIG_DNS_OPTIONS_H_

#include <chrono>
#include <compare>
#include <optional>
#include <vector>

#include "sidecar/net/dns.h"

namespace pillion::config {

// Between failed resolutions, if they follow each other.
struct DnsBackoff {
  std::chrono::nanoseconds base{};
  std::chrono::nanoseconds max{};
  friend auto operator<=>(const DnsBackoff&, const DnsBackoff&) = default;
};

struct DnsOptions {
  net::DnsFamily family = net::DnsFamily::kAuto;
  std::vector<net::Address> servers;  // none: those of resolv.conf
  std::chrono::nanoseconds refresh = std::chrono::seconds(5);
  bool respect_ttl = false;
  std::optional<DnsBackoff> backoff;  // unset: `refresh`
  std::chrono::nanoseconds jitter{};
  friend auto operator<=>(const DnsOptions&, const DnsOptions&) = default;
};

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_DNS_OPTIONS_H_
