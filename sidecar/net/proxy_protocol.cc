#include "sidecar/net/proxy_protocol.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace pillion::net {
namespace {

using Kind = ProxyHeader::Kind;

constexpr std::string_view kV1Start = "PROXY ";
constexpr size_t kV1MaxBytes = 107;  // section 2.1, line end included
constexpr std::string_view kV2Signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kV2FixedBytes = 16;
constexpr uint8_t kV2Local = 0x20;
constexpr uint8_t kV2Proxy = 0x21;
constexpr uint8_t kV2Tcp4 = 0x11;
constexpr uint8_t kV2Tcp6 = 0x21;
constexpr size_t kV2Tcp4Bytes = 12;
constexpr size_t kV2Tcp6Bytes = 36;

ProxyHeader Malformed(std::string_view detail) {
  ProxyHeader header;
  header.kind = Kind::kMalformed;
  header.detail = detail;
  return header;
}

// The text up to the next single space, which is taken off too.
std::string_view TakeWord(std::string_view& line) {
  const size_t space = line.find(' ');
  const std::string_view word = line.substr(0, space);
  line = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
  return word;
}

std::optional<uint16_t> ReadPort(std::string_view text) {
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

std::optional<Address> ReadAddress(std::string_view ip, std::string_view port, int family) {
  const std::optional<uint16_t> number = ReadPort(port);
  if (!number) return std::nullopt;
  std::optional<Address> address = Address::Parse(ip, *number);
  if (!address || address->family() != family) return std::nullopt;
  return address;
}

ProxyHeader ReadV1(std::string_view bytes) {
  const size_t end = bytes.substr(0, kV1MaxBytes).find("\r\n");
  if (end == std::string_view::npos) {
    if (bytes.size() >= kV1MaxBytes) return Malformed("PROXY line longer than 107 bytes");
    return {};
  }
  ProxyHeader header;
  header.kind = Kind::kFound;
  header.version = 1;
  header.size = end + 2;
  std::string_view line = bytes.substr(kV1Start.size(), end - kV1Start.size());
  const std::string_view protocol = TakeWord(line);
  if (protocol == "UNKNOWN") return header;  // what follows it is to be ignored
  if (protocol != "TCP4" && protocol != "TCP6")
    return Malformed("PROXY line with neither TCP4, TCP6 nor UNKNOWN");
  const int family = protocol == "TCP4" ? AF_INET : AF_INET6;
  const std::string_view source = TakeWord(line);
  const std::string_view destination = TakeWord(line);
  const std::string_view source_port = TakeWord(line);
  header.source = ReadAddress(source, source_port, family);
  header.destination = ReadAddress(destination, line, family);
  if (!header.source || !header.destination) return Malformed("PROXY line with a bad address or port");
  return header;
}

Address FromV2(int family, const char* ip, const char* port) {
  if (family == AF_INET) {
    sockaddr_in v4 = {};
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, ip, sizeof(v4.sin_addr));
    std::memcpy(&v4.sin_port, port, sizeof(v4.sin_port));
    return Address::FromSockaddr(reinterpret_cast<const sockaddr*>(&v4));
  }
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  std::memcpy(&v6.sin6_addr, ip, sizeof(v6.sin6_addr));
  std::memcpy(&v6.sin6_port, port, sizeof(v6.sin6_port));
  return Address::FromSockaddr(reinterpret_cast<const sockaddr*>(&v6));
}

ProxyHeader ReadV2(std::string_view bytes) {
  if (bytes.size() < kV2FixedBytes) return {};
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const uint8_t command = byte(12);
  if (command != kV2Local && command != kV2Proxy)
    return Malformed("PROXY header of an unknown version or command");
  const size_t length = static_cast<size_t>(byte(14)) << 8 | byte(15);
  ProxyHeader header;
  header.size = kV2FixedBytes + length;
  if (header.size > kMaxProxyHeaderBytes) return Malformed("PROXY header too long");
  const uint8_t family = byte(13);
  const size_t needed = command == kV2Local ? 0
                        : family == kV2Tcp4 ? kV2Tcp4Bytes
                        : family == kV2Tcp6
                            ? kV2Tcp6Bytes
                            : 0;  // a family that we do not carry: as if unknown (section 2.2)
  if (length < needed) return Malformed("PROXY header too short for its addresses");
  if (bytes.size() < header.size) return {};
  header.kind = Kind::kFound;
  header.version = 2;
  const char* const at = bytes.data() + kV2FixedBytes;
  if (needed == kV2Tcp4Bytes) {
    header.source = FromV2(AF_INET, at, at + 8);
    header.destination = FromV2(AF_INET, at + 4, at + 10);
  } else if (needed == kV2Tcp6Bytes) {
    header.source = FromV2(AF_INET6, at, at + 32);
    header.destination = FromV2(AF_INET6, at + 16, at + 34);
  }
  return header;
}

// Address and port of one end, in the order of the wire.
void AppendIp(const Address& address, std::string& out) {
  if (address.family() == AF_INET) {
    out.append(reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr),
               4);
  } else {
    out.append(
        reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr), 16);
  }
}

void AppendBigEndian(uint16_t value, std::string& out) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value & 0xff);
}

}  // namespace

ProxyHeader ReadProxyHeader(std::string_view bytes) {
  const auto begins = [&](std::string_view start) {
    return bytes.substr(0, start.size()) == start.substr(0, bytes.size());
  };
  if (begins(kV1Start)) return bytes.size() < kV1Start.size() ? ProxyHeader() : ReadV1(bytes);
  if (begins(kV2Signature)) return bytes.size() < kV2Signature.size() ? ProxyHeader() : ReadV2(bytes);
  ProxyHeader absent;
  absent.kind = Kind::kAbsent;
  return absent;
}

void AppendProxyHeader(uint8_t version, const std::optional<Address>& source, const Address& destination,
                       std::string& out) {
  const bool known = source && source->family() == destination.family() &&
                     (source->family() == AF_INET || source->family() == AF_INET6);
  const bool v4 = known && source->family() == AF_INET;
  if (version == 1) {
    out += kV1Start;
    if (!known) {
      out += "UNKNOWN\r\n";
      return;
    }
    out += v4 ? "TCP4 " : "TCP6 ";
    out += source->ip() + " " + destination.ip() + " " + std::to_string(source->port()) + " " +
           std::to_string(destination.port()) + "\r\n";
    return;
  }
  out += kV2Signature;
  out += static_cast<char>(known ? kV2Proxy : kV2Local);
  out += static_cast<char>(!known ? 0 : v4 ? kV2Tcp4 : kV2Tcp6);
  AppendBigEndian(static_cast<uint16_t>(!known ? 0 : v4 ? kV2Tcp4Bytes : kV2Tcp6Bytes), out);
  if (!known) return;
  AppendIp(*source, out);
  AppendIp(destination, out);
  AppendBigEndian(source->port(), out);
  AppendBigEndian(destination.port(), out);
}

}  // namespace pillion::net
