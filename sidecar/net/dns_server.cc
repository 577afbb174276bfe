#include "sidecar/net/dns_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "sidecar/base/check.h"

namespace pillion::net {
namespace {

constexpr uint16_t kA = 1;
constexpr uint16_t kCname = 5;
constexpr uint16_t kAaaa = 28;

void Put16(std::string& to, uint16_t value) {
  to += static_cast<char>(value >> 8);
  to += static_cast<char>(value & 0xff);
}
void Put32(std::string& to, uint32_t value) {
  Put16(to, static_cast<uint16_t>(value >> 16));
  Put16(to, static_cast<uint16_t>(value & 0xffff));
}

std::string Encoded(const std::string& name) {
  std::string result;
  for (size_t begin = 0; begin < name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    result += static_cast<char>(end - begin);
    result += name.substr(begin, end - begin);
    begin = end + 1;
  }
  return result + '\0';
}

void PutRecord(std::string& to, const std::string& owner, uint16_t type, uint32_t ttl,
               const std::string& value) {
  to += Encoded(owner);
  Put16(to, type);
  Put16(to, 1);
  Put32(to, ttl);
  Put16(to, static_cast<uint16_t>(value.size()));
  to += value;
}

// The bytes of an address of this type; "": it is of the other one.
std::string Value(const std::string& address, uint16_t type) {
  std::array<char, 16> bytes{};
  const int family = type == kA ? AF_INET : AF_INET6;
  if (inet_pton(family, address.c_str(), bytes.data()) != 1) return {};
  return {bytes.data(), type == kA ? size_t{4} : size_t{16}};
}

}  // namespace

DnsServer::DnsServer()
    : udp_(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
      tcp_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  // One port in both: another program may have the one that UDP was given.
  for (int tries = 0; tries < 100; ++tries) {
    const Address any = Address::Parse("127.0.0.1", 0).value_or(Address());
    if (tries > 0) {
      close(udp_);
      udp_ = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    }
    PILLION_CHECK(bind(udp_, any.get(), any.size()) == 0);
    sockaddr_storage local = {};
    socklen_t size = sizeof(local);
    getsockname(udp_, reinterpret_cast<sockaddr*>(&local), &size);
    address_ = Address::FromSockaddr(reinterpret_cast<sockaddr*>(&local));
    if (bind(tcp_, address_.get(), address_.size()) == 0) break;
  }
  PILLION_CHECK(listen(tcp_, 16) == 0);
}

DnsServer::~DnsServer() {
  close(udp_);
  close(tcp_);
  for (const int fd : connections_) close(fd);
}

void DnsServer::Serve() {
  std::array<char, 1024> buffer;
  sockaddr_storage from = {};
  socklen_t size = sizeof(from);
  for (ssize_t n = 0; (n = recvfrom(udp_, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from),
                                    &size)) > 0;) {
    const std::string answer = Answer({buffer.data(), static_cast<size_t>(n)}, Transport::kUdp);
    if (!answer.empty())
      sendto(udp_, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
  }
  for (int fd = 0; (fd = accept4(tcp_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;)
    connections_.push_back(fd);
  for (const int fd : connections_) ServeTcp(fd);
}

// One question per read, whole: as c-ares sends it on loopback.
void DnsServer::ServeTcp(int fd) {
  std::array<char, 1024> buffer;
  const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
  if (n <= 2) return;
  ++over_tcp;
  const std::string answer =
      Answer(std::string(buffer.data(), static_cast<size_t>(n)).substr(2), Transport::kTcp);
  if (answer.empty()) return;
  std::string message;
  Put16(message, static_cast<uint16_t>(answer.size()));
  message += answer;
  // Two pieces: who reads a message at once only would not see it.
  send(fd, message.data(), 5, MSG_NOSIGNAL);
  send(fd, message.data() + 5, message.size() - 5, MSG_NOSIGNAL);
}

std::string DnsServer::Answer(const std::string& query, Transport over) {
  std::string name;
  size_t at = 12;
  while (at < query.size() && query[at] != 0) {
    const auto length = static_cast<size_t>(static_cast<unsigned char>(query[at]));
    name += (name.empty() ? "" : ".") + query.substr(at + 1, length);
    at += length + 1;
  }
  const auto type = static_cast<uint16_t>(static_cast<unsigned char>(query[at + 2]));
  ++asked[(type == kA ? "A " : "AAAA ") + name];
  const auto found = names.find(name);
  Behaviour behaviour = found == names.end() ? Behaviour::kAnswer : found->second.behaviour;
  if (behaviour == Behaviour::kAnswer && type == kAaaa && found != names.end())
    behaviour = found->second.ipv6_behaviour;
  if (behaviour == Behaviour::kSilent) return {};
  const bool truncated = behaviour == Behaviour::kTruncateOverUdp && over == Transport::kUdp;
  const bool fails = behaviour == Behaviour::kServerFailure;
  uint16_t code = found == names.end() ? 3 : 0;
  if (fails) code = 2;
  std::string records;
  uint16_t count = 0;
  if (found != names.end() && !truncated && !fails) {
    const Name& known = found->second;
    if (!known.alias_of.empty()) {
      PutRecord(records, name, kCname, known.alias_ttl, Encoded(known.alias_of));
      ++count;
    }
    for (const std::string& address : known.addresses) {
      const std::string value = Value(address, type);
      if (value.empty()) continue;
      PutRecord(records, known.alias_of.empty() ? name : known.alias_of, type, known.ttl, value);
      ++count;
    }
  }
  std::string answer = query.substr(0, 2);
  Put16(answer, static_cast<uint16_t>(0x8180 | (truncated ? 0x0200 : 0) | code));
  Put16(answer, 1);
  Put16(answer, count);
  Put32(answer, 0);
  answer += query.substr(12, at + 5 - 12);
  return answer + records;
}

}  // namespace pillion::net
