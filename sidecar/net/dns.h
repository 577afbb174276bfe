// What is asked of DNS and what comes back. Values.
#ifndef PILLION_SIDECAR_NET_DNS_H_
#define PILLION_SIDECAR_NET_DNS_H_

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sidecar/net/address.h"

namespace pillion::net {

// Of one name; the rest of an answer is left out and counted. Attack: who answers for a name makes endpoints.
inline constexpr size_t kMaxAddressesPerName = 256;

// Which addresses are asked for.
enum class DnsFamily : uint8_t {
  kAuto,  // IPv6; where that brings none, IPv4
  kV4Only,
  kV6Only,
  kV4Preferred,  // IPv4; where that brings none, IPv6
  kAll,          // both at once; in the answer IPv4 comes first
};

struct DnsQuestion {
  std::string name;  // a host name; without a dot at its end the search list of resolv.conf applies
  DnsFamily family = DnsFamily::kAuto;
  std::vector<Address> servers;  // none: those of resolv.conf
  friend auto operator<=>(const DnsQuestion&, const DnsQuestion&) = default;
};

struct DnsAnswer {
  enum class Kind : uint8_t {
    kAddresses,
    kNone,    // the server says that there is no such name, or that it has no address
    kFailed,  // nothing is known: no answer in time, SERVFAIL, no server
  };
  Kind kind = Kind::kFailed;
  std::vector<Address> addresses;  // each once, port 0, in the server's order
  // How long they hold: the least of the addresses and aliases; 0: the source does not say (a hosts file).
  std::chrono::seconds ttl{0};
  std::string failure;  // kFailed: why, in words
  size_t left_out = 0;  // beyond kMaxAddressesPerName
};

}  // namespace pillion::net

#endif  // PILLION_SIDECAR_NET_DNS_H_
