#include "sidecar/net/address.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

namespace pillion::net {

std::optional<Address> Address::Parse(std::string_view ip, uint16_t port) {
  std::array<char, INET6_ADDRSTRLEN> text{};  // ends with a zero
  if (ip.size() >= text.size()) return std::nullopt;
  ip.copy(text.data(), ip.size());
  sockaddr_in v4 = {};
  if (inet_pton(AF_INET, text.data(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return FromSockaddr(reinterpret_cast<const sockaddr*>(&v4));
  }
  sockaddr_in6 v6 = {};
  if (inet_pton(AF_INET6, text.data(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    return FromSockaddr(reinterpret_cast<const sockaddr*>(&v6));
  }
  return std::nullopt;
}

std::optional<Address> Address::ParseWithPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view ip = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), port);
  if (error != std::errc() || end != digits.end()) return std::nullopt;
  const bool bracketed = ip.starts_with('[') && ip.ends_with(']');
  if (bracketed) ip = ip.substr(1, ip.size() - 2);
  const std::optional<Address> parsed = Parse(ip, port);
  if (!parsed || bracketed != (parsed->family() == AF_INET6)) return std::nullopt;
  return parsed->Unmapped();
}

Address Address::FromSockaddr(const sockaddr* address) {
  Address result;
  if (address->sa_family == AF_INET) {
    sockaddr_in v4 = *reinterpret_cast<const sockaddr_in*>(address);
    std::memset(&v4.sin_zero, 0, sizeof(v4.sin_zero));
    std::memcpy(result.bytes_.data(), &v4, sizeof(v4));
  } else if (address->sa_family == AF_INET6) {
    std::memcpy(result.bytes_.data(), address, sizeof(sockaddr_in6));
  }
  return result;
}

Address Address::Unmapped() const {
  const auto* const v6 = reinterpret_cast<const sockaddr_in6*>(get());
  if (family() != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) return *this;
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  v4.sin_port = v6->sin6_port;
  std::memcpy(&v4.sin_addr, v6->sin6_addr.s6_addr + 12, sizeof(v4.sin_addr));
  return FromSockaddr(reinterpret_cast<const sockaddr*>(&v4));
}

Address Address::WithPort(uint16_t port) const {
  Address result = *this;
  reinterpret_cast<sockaddr_in*>(result.bytes_.data())->sin_port = htons(port);  // see port()
  return result;
}

uint16_t Address::port() const {
  // The port lies at the same place in both.
  return ntohs(reinterpret_cast<const sockaddr_in*>(bytes_.data())->sin_port);
}

bool Address::names_one() const {
  if (port() == 0) return false;
  if (family() == AF_INET) return reinterpret_cast<const sockaddr_in*>(get())->sin_addr.s_addr != INADDR_ANY;
  return family() == AF_INET6 &&
         !IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6*>(get())->sin6_addr);
}

bool Address::loopback() const {
  if (family() == AF_INET)
    return (ntohl(reinterpret_cast<const sockaddr_in*>(get())->sin_addr.s_addr) >> 24) == 127;
  return family() == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(get())->sin6_addr);
}

bool Address::SharesPrefix(const Address& other, uint32_t bits) const {
  if (family() != other.family()) return false;
  const auto bytes_of = [](const Address& address) {
    return address.family() == AF_INET6
               ? reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr.s6_addr
               : reinterpret_cast<const uint8_t*>(
                     &reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr.s_addr);
  };
  const size_t whole = bits / 8;
  if (std::memcmp(bytes_of(*this), bytes_of(other), whole) != 0) return false;
  if (bits % 8 == 0) return true;
  return ((bytes_of(*this)[whole] ^ bytes_of(other)[whole]) >> (8 - bits % 8)) == 0;
}

std::string Address::ip() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (family() == AF_INET)
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(get())->sin_addr, text.data(), text.size());
  if (family() == AF_INET6)
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(get())->sin6_addr, text.data(), text.size());
  return text.data();
}

std::string Address::ToString() const {
  const std::string host = ip();
  return (family() == AF_INET6 ? "[" + host + "]" : host) + ":" + std::to_string(port());
}

}  // namespace pillion::net
