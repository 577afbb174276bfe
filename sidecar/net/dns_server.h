// A DNS server for tests, on an ephemeral port of loopback, UDP and TCP: it answers what it was told, counts
// what it was asked, and works only while Serve is called. One thread.
#ifndef PILLION_SIDECAR_NET_DNS_SERVER_H_
#define PILLION_SIDECAR_NET_DNS_SERVER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sidecar/net/address.h"

namespace pillion::net {

class DnsServer {
 public:
  enum class Behaviour : uint8_t { kAnswer, kSilent, kServerFailure, kTruncateOverUdp };
  struct Name {
    std::vector<std::string> addresses = {};  // of both families
    uint32_t ttl = 60;
    std::string alias_of = {};  // they are that name's
    uint32_t alias_ttl = 60;
    Behaviour behaviour = Behaviour::kAnswer;
    Behaviour ipv6_behaviour = Behaviour::kAnswer;  // of AAAA, where `behaviour` is kAnswer
  };

  DnsServer();
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;
  const Address& address() const { return address_; }

  // By name without a dot at its end; others are NXDOMAIN.
  std::map<std::string, Name> names;
  // Questions by "A name" and "AAAA name".
  std::map<std::string, int> asked;
  int over_tcp = 0;

  // Answers what has come.
  void Serve();

 private:
  enum class Transport : uint8_t { kUdp, kTcp };
  std::string Answer(const std::string& query, Transport over);
  void ServeTcp(int fd);

  int udp_;
  int tcp_;
  Address address_;
  std::vector<int> connections_;
};

}  // namespace pillion::net

#endif  // PILLION_SIDECAR_NET_DNS_SERVER_H_
