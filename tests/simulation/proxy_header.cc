#include "tests/simulation/proxy_header.h"

#include <arpa/inet.h>

namespace pillion::simulation {
namespace {

constexpr uint16_t kToldPort = 443;        // of the destination
constexpr size_t kMaxVersion1Bytes = 107;  // by the specification
constexpr size_t kTooLong = 65535;

bool IsIpv6(uint64_t id) { return id % 2 == 0; }
uint16_t PortOf(uint64_t id) { return static_cast<uint16_t>(id); }

std::string IpOf(uint64_t id) {
  return IsIpv6(id) ? "fd00::" + std::to_string(id % 10000)
                    : "10.1." + std::to_string(id / 256 % 256) + "." + std::to_string(id % 256);
}

std::string Big16(size_t number) {
  return {static_cast<char>(number / 256), static_cast<char>(number % 256)};
}

std::string Version1(uint64_t id, const std::string& to, HeaderFault fault) {
  const std::string family = fault == HeaderFault::kWrongWord ? "5 " : IsIpv6(id) ? "6 " : "4 ";
  std::string text = "PROXY TCP" + family + IpOf(id);
  if (fault == HeaderFault::kTooLong) return text + std::string(kMaxVersion1Bytes, ' ');
  if (fault == HeaderFault::kUnfinished) return text;
  if (fault != HeaderFault::kCutShort)
    text += " " + to + " " + std::to_string(PortOf(id)) + " " + std::to_string(kToldPort);
  return text + "\r\n";
}

std::string Version2(uint64_t id, const std::string& to, HeaderFault fault) {
  std::string told;
  for (const std::string& ip : {IpOf(id), to}) {
    std::string bytes(IsIpv6(id) ? 16 : 4, '\0');
    inet_pton(IsIpv6(id) ? AF_INET6 : AF_INET, ip.c_str(), bytes.data());
    told += bytes;
  }
  told += Big16(PortOf(id)) + Big16(kToldPort);
  const std::string extension = std::string("\x04", 1) + Big16(id % 50) + std::string(id % 50, 'x');  // NOOP
  const size_t length = fault == HeaderFault::kCutShort  ? told.size() - 1
                        : fault == HeaderFault::kTooLong ? kTooLong
                                                         : told.size() + extension.size();
  std::string text = std::string("\r\n\r\n\0\r\nQUIT\n", 12) +
                     (fault == HeaderFault::kWrongWord ? "\x2f" : "\x21") + (IsIpv6(id) ? "\x21" : "\x11") +
                     Big16(length) + told;
  if (fault == HeaderFault::kUnfinished) return text.substr(0, text.size() - 1);
  return text + extension;
}

}  // namespace

std::string ToldClient(uint64_t id) {
  const std::string ip = IpOf(id);
  return (IsIpv6(id) ? "[" + ip + "]" : ip) + ":" + std::to_string(PortOf(id));
}

std::string ProxyHeaderOf(uint64_t id, int version, HeaderFault fault) {
  const std::string to = IsIpv6(id) ? "fd00::1" : "10.2.0.1";
  return version == 1 ? Version1(id, to, fault) : Version2(id, to, fault);
}

}  // namespace pillion::simulation
