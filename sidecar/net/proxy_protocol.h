// PROXY protocol, versions 1 and 2 (the specification that HAProxy publishes as proxy-protocol.txt): a header
// in front of a connection's first byte that tells between whom the connection was before a proxy. Pure.
#ifndef PILLION_SIDECAR_NET_PROXY_PROTOCOL_H_
#define PILLION_SIDECAR_NET_PROXY_PROTOCOL_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/net/address.h"

namespace pillion::net {

// What a version 2 header may say in all, its extensions included; we read none of those. Attack: a header
// without end before the first byte that counts.
inline constexpr size_t kMaxProxyHeaderBytes = size_t{16} * 1024;

struct ProxyHeader {
  enum class Kind : uint8_t {
    kMore,    // may become a header: call again with more bytes
    kAbsent,  // these bytes begin no header
    kFound,
    kMalformed,  // begins like a header and breaks its rules: `detail`
  };
  Kind kind = Kind::kMore;
  uint8_t version = 0;
  size_t size = 0;  // kFound: bytes of the header
  // kFound: nothing when the sender speaks for itself (LOCAL) or does not know (UNKNOWN, other families).
  std::optional<Address> source;
  std::optional<Address> destination;
  std::string_view detail;  // static text
};

// Looks at the first bytes of a connection.
ProxyHeader ReadProxyHeader(std::string_view bytes);

// Appends the header for a connection from `source` to `destination`; without `source` that of a connection
// of our own. Addresses of different families cannot be told in one header: it is then as without.
void AppendProxyHeader(uint8_t version, const std::optional<Address>& source, const Address& destination,
                       std::string& out);

}  // namespace pillion::net

#endif  // PILLION_SIDECAR_NET_PROXY_PROTOCOL_H_
