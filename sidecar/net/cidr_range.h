// Addresses that share their first bits (RFC 4632 section 3.1). A value; any thread.
#ifndef PILLION_SIDECAR_NET_CIDR_RANGE_H_
#define PILLION_SIDECAR_NET_CIDR_RANGE_H_

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include "sidecar/net/address.h"

namespace pillion::net {

struct CidrRange {
  Address base;  // port 0
  uint32_t bits = 0;

  // "10.1.0.0/16"; an address alone is a range of one. nullopt: it is neither.
  static std::optional<CidrRange> Parse(std::string_view text) {
    const size_t slash = text.find('/');
    const std::optional<Address> base = Address::Parse(text.substr(0, slash), 0);
    if (!base.has_value()) return std::nullopt;
    const uint32_t most = base->family() == AF_INET6 ? 128 : 32;
    if (slash == std::string_view::npos) return CidrRange{*base, most};
    const std::string_view digits = text.substr(slash + 1);
    CidrRange range{*base, 0};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), range.bits);
    if (error != std::errc() || end != digits.data() + digits.size() || range.bits > most)
      return std::nullopt;
    return range;
  }

  bool Contains(const Address& address) const { return base.SharesPrefix(address, bits); }
  friend bool operator==(const CidrRange&, const CidrRange&) = default;
};

}  // namespace pillion::net

#endif  // PILLION_SIDECAR_NET_CIDR_RANGE_H_
