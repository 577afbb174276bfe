// Host names to addresses, by c-ares on the loop of its owner: no thread, no call that waits for a server.
//
//   Resolve --wake--> Process: lookups are started, sockets and time-outs served, ended lookups told
//   OnReady --wake--^
//
// c-ares is entered in Process alone, and what it calls back with is only recorded: nobody is re-entered.
// Its sockets are watched by an epoll of our own, which the loop watches as one descriptor.
//
// resolv.conf and the hosts file are read as c-ares does, anew for each burst of lookups; so a socket, and
// with it its port, is not used for long. There is no cache here: whoever asks knows when to ask again.
// Owner: the main loop; single-threaded.
#ifndef PILLION_SIDECAR_NET_DNS_RESOLVER_H_
#define PILLION_SIDECAR_NET_DNS_RESOLVER_H_

#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <vector>

#include "sidecar/net/dns.h"
#include "sidecar/net/epoll_loop.h"
#include "sidecar/time/clock.h"

namespace pillion::net {

class DnsResolver final : public Observer {
 public:
  // From Resolve to its answer, whatever number of servers, families and search domains are tried: a
  // configuration waits for it.
  static constexpr auto kLongestLookup = std::chrono::seconds(15);
  // Under way at once, others wait their turn. Attack: a configuration of very many names, which would be as
  // many datagrams at once.
  static constexpr size_t kMaxLookupsAtOnce = 128;
  // A server that does not answer within the first is asked once more, for twice as long.
  static constexpr auto kTryTimeout = std::chrono::seconds(2);
  static constexpr int kTries = 2;

  using Done = std::function<void(const DnsAnswer&)>;

  // `wake` asks for a call of Process; it may be called at any time, also in Process. Both outlive the
  // resolver.
  DnsResolver(EpollLoop& loop, std::function<void()> wake);
  // Lookups under way end; nobody is told.
  ~DnsResolver();
  DnsResolver(const DnsResolver&) = delete;
  DnsResolver& operator=(const DnsResolver&) = delete;

  // `done` is called once, from Process; it may call Resolve.
  void Resolve(DnsQuestion question, time::MonotonicTime now, Done done);
  void Process(time::MonotonicTime now);
  // When Process is due if nobody wakes before; max(): nothing is under way.
  time::MonotonicTime Next(time::MonotonicTime now) const;
  size_t under_way() const { return lookups_.size(); }

  void OnReady(bool readable, bool writable) override;

 private:
  struct Channel;
  struct Lookup;
  void ServeSockets();
  void Advance(Lookup& lookup, time::MonotonicTime now);
  bool Start(Lookup& lookup);
  Channel* ChannelFor(const std::vector<Address>& servers);
  void Watch(Channel& channel, int fd, bool readable, bool writable);

  const std::function<void()> wake_;
  const int epoll_;  // of the sockets that c-ares makes
  std::unique_ptr<WatchedDescriptor> watched_;
  std::map<std::vector<Address>, std::unique_ptr<Channel>> channels_;
  std::map<int, Channel*> sockets_;
  std::list<Lookup> lookups_;
  size_t started_ = 0;  // of lookups_
};

}  // namespace pillion::net

#endif  // PILLION_SIDECAR_NET_DNS_RESOLVER_H_
