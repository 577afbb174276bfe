// An IPv4 or IPv6 address with a port. A value.
#ifndef PILLION_SIDECAR_NET_ADDRESS_H_
#define PILLION_SIDECAR_NET_ADDRESS_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pillion::net {

class Address {
 public:
  Address() = default;
  // `ip` is a literal ("127.0.0.1", "::1"); nullopt when it is not one.
  static std::optional<Address> Parse(std::string_view ip, uint16_t port);
  // "127.0.0.1:80", "[::1]:80"; an IPv4 address in the form of IPv6 is one of IPv4. nullopt: it is none.
  static std::optional<Address> ParseWithPort(std::string_view text);
  static Address FromSockaddr(const sockaddr* address);
  // As a dual-stack socket knows an IPv4 address (RFC 4291 section 2.5.5.2): the IPv4 address.
  Address Unmapped() const;
  Address WithPort(uint16_t port) const;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(bytes_.data()); }
  socklen_t size() const { return family() == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in); }
  int family() const { return get()->sa_family; }
  uint16_t port() const;
  bool loopback() const;
  // Neither unset nor one of those that stand for many (0.0.0.0, [::]), and with a port.
  bool names_one() const;
  // The same family, and the first `bits` bits of the two are equal.
  bool SharesPrefix(const Address& other, uint32_t bits) const;
  std::string ip() const;
  std::string ToString() const;  // "127.0.0.1:80", "[::1]:80"

  friend auto operator<=>(const Address& a, const Address& b) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Address& a) {
    return H::combine_contiguous(std::move(h), a.bytes_.data(), a.bytes_.size());
  }

 private:
  // A sockaddr_in or sockaddr_in6, padding zeroed, so that equal bytes mean equal addresses.
  alignas(sockaddr_in6) std::array<unsigned char, sizeof(sockaddr_in6)> bytes_{};
};

}  // namespace pillion::net

#endif  // PILLION_SIDECAR_NET_ADDRESS_H_
