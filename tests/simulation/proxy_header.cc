#include "tests/simulation/proxy_header.h"

#include <arpa/inet.h>

namespace pillion::simulation {
namespace {

constexpr uint16_t kToldPort = 443;  // of the destination

bool IsIpv6(uint64_t id) { return id % 2 == 0; }
uint16_t PortOf(uint64_t id) { return static_cast<uint16_t>(id); }

std::string IpOf(uint64_t id) {
  return IsIpv6(id) ? "fd00::" + std::to_string(id % 10000)
                    : "10.1." + std::to_string(id / 256 % 256) + "." + std::to_string(id % 256);
}

std::string Big16(size_t number) {
  return {static_cast<char>(number / 256), static_cast<char>(number % 256)};
}

}  // namespace

std::string ToldClient(uint64_t id) {
  const std::string ip = IpOf(id);
  return (IsIpv6(id) ? "[" + ip + "]" : ip) + ":" + std::to_string(PortOf(id));
}

std::string ProxyHeaderOf(uint64_t id, int version) {
  const std::string to = IsIpv6(id) ? "fd00::1" : "10.2.0.1";
  if (version == 1) {
    return std::string("PROXY TCP") + (IsIpv6(id) ? "6 " : "4 ") + IpOf(id) + " " + to + " " +
           std::to_string(PortOf(id)) + " " + std::to_string(kToldPort) + "\r\n";
  }
  std::string told;
  for (const std::string& ip : {IpOf(id), to}) {
    std::string bytes(IsIpv6(id) ? 16 : 4, '\0');
    inet_pton(IsIpv6(id) ? AF_INET6 : AF_INET, ip.c_str(), bytes.data());
    told += bytes;
  }
  told += Big16(PortOf(id)) + Big16(kToldPort);
  const std::string extension = std::string("\x04", 1) + Big16(id % 50) + std::string(id % 50, 'x');  // NOOP
  return std::string("\r\n\r\n\0\r\nQUIT\n", 12) + "\x21" + (IsIpv6(id) ? "\x21" : "\x11") +
         Big16(told.size() + extension.size()) + told + extension;
}

}  // namespace pillion::simulation
