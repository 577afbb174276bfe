#include "sidecar/net/dns_resolver.h"

#include <ares.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "sidecar/base/check.h"

namespace pillion::net {
namespace {

constexpr int kEventsPerTurn = 64;
constexpr char kTooLate[] = "no answer in time";
constexpr char kNoServer[] = "no server could be asked, or each of them failed";

// The families of a question, in the order in which they are asked for and told.
std::vector<int> FamiliesOf(DnsFamily family) {
  switch (family) {
    case DnsFamily::kAuto:
      return {AF_INET6, AF_INET};
    case DnsFamily::kV4Only:
      return {AF_INET};
    case DnsFamily::kV6Only:
      return {AF_INET6};
    case DnsFamily::kV4Preferred:
    case DnsFamily::kAll:
      return {AF_INET, AF_INET6};
  }
  return {};
}

std::chrono::seconds TtlOf(int ttl) { return std::chrono::seconds(std::max(ttl, 0)); }

// Adds what c-ares has found.
void AddAddresses(const ares_addrinfo& found, DnsAnswer& answer) {
  const bool first = answer.addresses.empty();
  std::chrono::seconds ttl = first ? std::chrono::seconds::max() : answer.ttl;
  for (const ares_addrinfo_node* node = found.nodes; node != nullptr; node = node->ai_next) {
    ttl = std::min(ttl, TtlOf(node->ai_ttl));
    const Address address = Address::FromSockaddr(node->ai_addr).WithPort(0);
    if (std::ranges::find(answer.addresses, address) != answer.addresses.end()) continue;
    if (answer.addresses.size() == kMaxAddressesPerName) {
      ++answer.left_out;
    } else {
      answer.addresses.push_back(address);
    }
  }
  if (answer.addresses.empty()) return;
  for (const ares_addrinfo_cname* alias = found.cnames; alias != nullptr; alias = alias->next)
    ttl = std::min(ttl, TtlOf(alias->ttl));
  answer.ttl = ttl;
}

}  // namespace

// A c-ares channel: lives while lookups use it.
struct DnsResolver::Channel {
  Channel(DnsResolver& of, ares_channel made) : resolver(of), ares(made) {}
  ~Channel() {
    if (ares != nullptr) ares_destroy(ares);
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  DnsResolver& resolver;
  ares_channel ares;
  size_t lookups = 0;
};

struct DnsResolver::Lookup {
  DnsQuestion question;
  time::MonotonicTime deadline;
  Done done;  // null: it was told
  Channel* channel = nullptr;
  std::vector<int> families;  // still to be asked for; the next is the last
  size_t calls = 0;           // of c-ares that have not ended
  // What has ended, by place among the families.
  std::array<DnsAnswer, 2> answers;
  size_t asked = 0;

  struct Call {
    Lookup& lookup;
    size_t place;
  };
  void Ask();
  void AskFor(int family);
  void Ended(size_t place, int status, const ares_addrinfo* found);
  bool HasAddresses() const {
    return std::ranges::any_of(answers, [](const DnsAnswer& one) { return !one.addresses.empty(); });
  }
  DnsAnswer Whole() const;
};

// All families at once, or the next; may end before it returns (a hosts file).
void DnsResolver::Lookup::Ask() {
  do {
    const int family = families.back();
    families.pop_back();
    AskFor(family);
  } while (question.family == DnsFamily::kAll && !families.empty());
}

void DnsResolver::Lookup::AskFor(int family) {
  ares_addrinfo_hints hints = {};
  hints.ai_family = family;
  hints.ai_flags = ARES_AI_NOSORT;  // the server's order is its way to spread load, and sorting makes sockets
  ++calls;
  answers[asked].failure = kTooLate;  // until it has ended
  auto call = std::make_unique<Call>(Call{*this, asked++});
  const auto ended = [](void* arg, int status, int, ares_addrinfo* found) {
    const std::unique_ptr<Call> ending(static_cast<Call*>(arg));
    ending->lookup.Ended(ending->place, status, found);
    if (found != nullptr) ares_freeaddrinfo(found);
  };
  ares_getaddrinfo(channel->ares, question.name.c_str(), nullptr, &hints, ended, call.release());
}

void DnsResolver::Lookup::Ended(size_t place, int status, const ares_addrinfo* found) {
  --calls;
  DnsAnswer& answer = answers[place];
  if (status == ARES_SUCCESS && found != nullptr) AddAddresses(*found, answer);
  const bool none = status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND;
  answer.kind = none ? DnsAnswer::Kind::kNone : DnsAnswer::Kind::kFailed;
  if (!answer.addresses.empty()) answer.kind = DnsAnswer::Kind::kAddresses;
  // What it says when the last server has been tried, be it that none is there or that they answer SERVFAIL.
  const bool no_server = status == ARES_ECONNREFUSED;
  if (!none) answer.failure = no_server ? kNoServer : ares_strerror(status);
  if (none) answer.failure.clear();
}

// One family's addresses are an answer, whatever became of the other: a server that knows nothing of IPv6
// must not cost what it knows of IPv4.
DnsAnswer DnsResolver::Lookup::Whole() const {
  DnsAnswer whole;
  whole.kind = DnsAnswer::Kind::kNone;
  if (asked == 0) whole.failure = kTooLate;
  for (size_t i = 0; i < asked; ++i) {
    const DnsAnswer& part = answers[i];
    if (part.kind == DnsAnswer::Kind::kAddresses) {
      whole.ttl = whole.addresses.empty() ? part.ttl : std::min(whole.ttl, part.ttl);
      whole.left_out += part.left_out;
      const size_t room = kMaxAddressesPerName - whole.addresses.size();
      const size_t taken = std::min(room, part.addresses.size());
      whole.left_out += part.addresses.size() - taken;
      whole.addresses.insert(whole.addresses.end(), part.addresses.begin(),
                             part.addresses.begin() + static_cast<std::ptrdiff_t>(taken));
    } else if (part.kind == DnsAnswer::Kind::kFailed) {
      whole.failure = part.failure;
    }
  }
  if (!whole.addresses.empty()) {
    whole.kind = DnsAnswer::Kind::kAddresses;
    whole.failure.clear();
  } else if (!whole.failure.empty()) {
    whole.kind = DnsAnswer::Kind::kFailed;
  }
  return whole;
}

DnsResolver::DnsResolver(EpollLoop& loop, std::function<void()> wake)
    : wake_(std::move(wake)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  PILLION_CHECK(epoll_ >= 0);
  watched_ = loop.WatchReadable(epoll_, *this);
  PILLION_CHECK(watched_ != nullptr);  // the first of what this process watches
  PILLION_CHECK(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
}

DnsResolver::~DnsResolver() {
  channels_.clear();  // ends its calls, whose lookups are still here
  ares_library_cleanup();
  watched_.reset();
  close(epoll_);
}

void DnsResolver::OnReady(bool, bool) { wake_(); }

void DnsResolver::Resolve(DnsQuestion question, time::MonotonicTime now, Done done) {
  Lookup& lookup = lookups_.emplace_back();
  lookup.families = FamiliesOf(question.family);
  std::ranges::reverse(lookup.families);
  lookup.question = std::move(question);
  lookup.deadline = now + kLongestLookup;
  lookup.done = std::move(done);
  wake_();
}

void DnsResolver::Process(time::MonotonicTime now) {
  ServeSockets();
  for (const auto& [servers, channel] : channels_)  // time-outs
    ares_process_fd(channel->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  std::vector<std::pair<Done, DnsAnswer>> ended;
  for (auto it = lookups_.begin(); it != lookups_.end();) {
    Lookup& lookup = *it;
    Advance(lookup, now);
    const bool over = lookup.channel != nullptr && lookup.calls == 0;
    if (lookup.done != nullptr && (over || now >= lookup.deadline)) {
      ended.emplace_back(std::exchange(lookup.done, nullptr), lookup.Whole());
    }
    if (lookup.done != nullptr || lookup.calls != 0) {
      ++it;
      continue;
    }
    if (lookup.channel != nullptr) {
      --lookup.channel->lookups;
      --started_;
    }
    it = lookups_.erase(it);
  }
  std::erase_if(channels_, [](const auto& item) { return item.second->lookups == 0; });
  for (const auto& [done, answer] : ended) done(answer);
}

// Starts it when it is its turn, and asks for the next family when the one before brought nothing.
void DnsResolver::Advance(Lookup& lookup, time::MonotonicTime now) {
  if (lookup.done == nullptr || now >= lookup.deadline) return;
  if (lookup.channel == nullptr && (started_ == kMaxLookupsAtOnce || !Start(lookup))) return;
  while (lookup.calls == 0 && !lookup.families.empty() && !lookup.HasAddresses()) lookup.Ask();
}

// False: there is no channel to be had now.
bool DnsResolver::Start(Lookup& lookup) {
  lookup.channel = ChannelFor(lookup.question.servers);
  if (lookup.channel == nullptr) return false;
  ++lookup.channel->lookups;
  ++started_;
  return true;
}

DnsResolver::Channel* DnsResolver::ChannelFor(const std::vector<Address>& servers) {
  if (const auto known = channels_.find(servers); known != channels_.end()) return known->second.get();
  auto channel = std::make_unique<Channel>(*this, nullptr);
  ares_options options = {};
  options.timeout = static_cast<int>(std::chrono::milliseconds(kTryTimeout).count());
  options.tries = kTries;
  options.sock_state_cb_data = channel.get();
  options.sock_state_cb = [](void* of, ares_socket_t fd, int readable, int writable) {
    auto& to = *static_cast<Channel*>(of);
    to.resolver.Watch(to, fd, readable != 0, writable != 0);
  };
  const int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
  if (ares_init_options(&channel->ares, &options, mask) != ARES_SUCCESS) {
    channel->ares = nullptr;
    return nullptr;
  }
  std::string list;
  for (const Address& server : servers) list += (list.empty() ? "" : ",") + server.ToString();
  if (!list.empty() && ares_set_servers_ports_csv(channel->ares, list.c_str()) != ARES_SUCCESS)
    return nullptr;
  return channels_.emplace(servers, std::move(channel)).first->second.get();
}

// Level-triggered: c-ares reads a TCP socket once per call.
void DnsResolver::Watch(Channel& channel, int fd, bool readable, bool writable) {
  if (!readable && !writable) {  // it is about to be closed
    epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
    sockets_.erase(fd);
    return;
  }
  epoll_event event = {};
  event.events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
  event.data.fd = fd;
  // Where the kernel watches no more of them, the lookup runs into its time-out.
  const int what = sockets_.insert_or_assign(fd, &channel).second ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  epoll_ctl(epoll_, what, fd, &event);
}

void DnsResolver::ServeSockets() {
  std::array<epoll_event, kEventsPerTurn> events;
  const int count = epoll_wait(epoll_, events.data(), kEventsPerTurn, 0);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    // One that was served before may have closed it.
    const auto socket = sockets_.find(event.data.fd);
    if (socket == sockets_.end()) continue;
    const bool failed = (event.events & (EPOLLHUP | EPOLLERR)) != 0;
    const bool readable = failed || (event.events & EPOLLIN) != 0;
    const bool writable = failed || (event.events & EPOLLOUT) != 0;
    ares_process_fd(socket->second->ares, readable ? event.data.fd : ARES_SOCKET_BAD,
                    writable ? event.data.fd : ARES_SOCKET_BAD);
  }
}

time::MonotonicTime DnsResolver::Next(time::MonotonicTime now) const {
  auto next = time::MonotonicTime::max();
  for (const Lookup& lookup : lookups_) {
    if (lookup.done != nullptr) next = std::min(next, lookup.deadline);
  }
  for (const auto& [servers, channel] : channels_) {
    timeval left = {};
    if (ares_timeout(channel->ares, nullptr, &left) == nullptr) continue;
    // A millisecond more: a little early would be in vain.
    next = std::min<time::MonotonicTime>(next, now + std::chrono::seconds(left.tv_sec) +
                                                   std::chrono::microseconds(left.tv_usec) +
                                                   std::chrono::milliseconds(1));
  }
  return next;
}

}  // namespace pillion::net
