#include "sidecar/net/epoll_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter_ipv4.h>
#include <linux/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "sidecar/base/check.h"

namespace pillion::net {
namespace {

// Few enough that a turn does not read more than the memory guard can allow for (main/memory_guard.h).
constexpr int kEventsPerWait = 64;
// Connections with early bytes that have not answered our SYN yet. Attack: forged addresses; beyond it
// clients connect as usual.
constexpr int kFastOpenWaiting = 256;

// A peer whose machine vanished says nothing: the kernel asks, and ends the connection.
struct KeepAlive {
  int idle_s;      // without a word, then it asks
  int interval_s;  // and asks again
  int probes;
  // Without an acknowledgement of what was sent, be it data or a question, or with a closed window: also of a
  // peer that lives and reads nothing. 0: as long as the kernel tries.
  int silent_ms;
};
// Of linux/netfilter_ipv6/ip6_tables.h, which C++ cannot read.
constexpr int kIp6OriginalDestination = 80;

constexpr KeepAlive kKeepAlive = {.idle_s = 15, .interval_s = 5, .probes = 3, .silent_ms = 0};

void SetKeepAlive(int fd, const KeepAlive& how) {
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &how.idle_s, sizeof(how.idle_s));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &how.interval_s, sizeof(how.interval_s));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &how.probes, sizeof(how.probes));
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &how.silent_ms, sizeof(how.silent_ms));
}

class EpollSocket : public Socket {
 public:
  EpollSocket(int fd, const Address& peer) : fd_(fd), peer_(peer) {}
  ~EpollSocket() override { close(fd_); }
  EpollSocket(const EpollSocket&) = delete;
  EpollSocket& operator=(const EpollSocket&) = delete;

  IoResult Read(std::span<char> into) override {
    while (true) {
      const ssize_t n = recv(fd_, into.data(), into.size(), 0);
      if (n > 0) {
        // Less than asked for: the socket is empty, and what comes later is a new event (epoll(7), question
        // 9).
        const bool drained = static_cast<size_t>(n) < into.size() && !watch_.hung_up;
        return {IoResult::Kind::kBytes, static_cast<size_t>(n), 0, drained};
      }
      if (n == 0) return {IoResult::Kind::kEnd, 0, 0};
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return {IoResult::Kind::kWouldBlock, 0, 0};
      return {IoResult::Kind::kReset, 0, errno};
    }
  }

  IoResult Write(std::span<const iovec> from) override {
    msghdr message = {};
    message.msg_iov = const_cast<iovec*>(from.data());
    message.msg_iovlen = from.size();
    while (true) {
      const ssize_t n = sendmsg(fd_, &message, MSG_NOSIGNAL);
      if (n >= 0) return {IoResult::Kind::kBytes, static_cast<size_t>(n), 0};
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return {IoResult::Kind::kWouldBlock, 0, 0};
      return {IoResult::Kind::kReset, 0, errno};
    }
  }

  int ConnectError() override {
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
    if (error != 0) return error;
    sockaddr_storage peer;
    socklen_t peer_size = sizeof(peer);
    if (getpeername(fd_, reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0) return 0;
    return errno == ENOTCONN ? EINPROGRESS : errno;
  }

  void ShutdownWrite() override { shutdown(fd_, SHUT_WR); }
  void ResetOnClose() override {
    const linger reset = {1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  }

  // The kernel looks at silent_ms when it is about to ask: half an interval early, so that it ends the
  // connection at the third interval and not at the fourth.
  void GiveUpSilentPeerAfter(time::Duration limit) override {
    const auto ms = static_cast<int>(limit / std::chrono::milliseconds(1));
    const int third_s = std::max(1, ms / 3000);
    SetKeepAlive(fd_, {.idle_s = third_s, .interval_s = third_s, .probes = 2, .silent_ms = third_s * 2500});
  }

  std::optional<uint64_t> AckedBytes() override {
    tcp_info info = {};
    socklen_t size = sizeof(info);
    if (getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
    if (size < offsetof(tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked)) return std::nullopt;
    return info.tcpi_bytes_acked;
  }

  const Address& peer() const override { return peer_; }
  void SetEnds(const Address& client, const Address& destination) override {
    if (!other_peer_ && client != peer_) {
      other_peer_ = true;
      direct_peer_ = peer_;
    }
    peer_ = client;
    local_ = destination;
    told_ = true;
  }
  const Address& local() const override {
    if (local_.family() == AF_UNSPEC) local_ = own();
    return local_;
  }
  Address direct_peer() const override { return other_peer_ ? direct_peer_ : peer_; }
  Address own() const override {
    if (!told_ && local_.family() != AF_UNSPEC) return local_;
    sockaddr_storage local = {};
    socklen_t size = sizeof(local);
    if (getsockname(fd_, reinterpret_cast<sockaddr*>(&local), &size) != 0) return {};
    return Address::FromSockaddr(reinterpret_cast<sockaddr*>(&local)).Unmapped();
  }
  // Without connection tracking, or without an entry there, the kernel knows of no other address.
  Address OriginalDestination() const override {
    const Address end = own();
    const bool v6 = end.family() == AF_INET6;
    sockaddr_storage dialled = {};
    socklen_t size = sizeof(dialled);
    if (getsockopt(fd_, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? kIp6OriginalDestination : SO_ORIGINAL_DST,
                   &dialled, &size) != 0)
      return end;
    return Address::FromSockaddr(reinterpret_cast<sockaddr*>(&dialled)).Unmapped();
  }
  int fd() const { return fd_; }
  EpollWatch& watch() { return watch_; }

 private:
  int fd_;
  EpollWatch watch_;
  Address peer_;
  mutable Address local_;
  Address direct_peer_;
  bool other_peer_ = false;  // peer_ is another than that
  bool told_ = false;        // peer_ and local_ are a proxy's word
};

void SetNoDelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int OpenSpare() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

// Holds a descriptor in reserve. Where none is left to accept with, a client would wait unheard, and the
// socket, readable all the time, would keep the loop turning: the reserve takes the client, to close it.
class EpollListenSocket : public ListenSocket {
 public:
  EpollListenSocket(int fd, const Address& local) : fd_(fd), spare_(OpenSpare()), local_(local) {}
  ~EpollListenSocket() override {
    close(fd_);
    if (spare_ >= 0) close(spare_);
  }
  EpollListenSocket(const EpollListenSocket&) = delete;
  EpollListenSocket& operator=(const EpollListenSocket&) = delete;

  std::unique_ptr<Socket> Accept() override {
    while (true) {
      // Another thread may have taken the descriptor between the two halves of Shed. The next one that is
      // free is the reserve, not a client's: without it those who come after would wait for ever.
      if (spare_ < 0) spare_ = OpenSpare();
      sockaddr_storage peer = {};
      socklen_t size = sizeof(peer);
      const int fd = accept4(fd_, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        SetNoDelay(fd);
        const Address client = Address::FromSockaddr(reinterpret_cast<sockaddr*>(&peer)).Unmapped();
        return std::make_unique<EpollSocket>(fd, client);
      }
      // A client that left while it waited is not our problem; the next one may be there.
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if ((errno != EMFILE && errno != ENFILE) || !Shed()) return nullptr;
    }
  }
  void FastOpen(bool on) override {
    const int waiting = on ? kFastOpenWaiting : 0;  // 0: none from now on
    setsockopt(fd_, IPPROTO_TCP, TCP_FASTOPEN, &waiting, sizeof(waiting));
  }
  uint64_t shed() const override { return shed_; }
  const Address& local() const override { return local_; }
  EpollWatch& watch() { return watch_; }

 private:
  // False: there is nobody to be closed, or no reserve to do it with.
  bool Shed() {
    if (spare_ < 0) return false;
    close(spare_);
    const int fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) close(fd);
    spare_ = OpenSpare();
    shed_ += fd >= 0 ? 1 : 0;
    return fd >= 0;
  }

  int fd_;
  int spare_;
  uint64_t shed_ = 0;
  EpollWatch watch_;
  Address local_;
};

// 0, or the errno: ENOSPC where the user's processes watch as much as they may
// (/proc/sys/fs/epoll/max_user_watches), ENOMEM where the kernel is short.
int Register(int epoll, int fd, EpollWatch* watch, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = watch;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0) return 0;
  if (errno == ENOSPC || errno == ENOMEM) return errno;
  // A connection changes hands (inspection to session): modifying re-arms, so no readiness is lost.
  PILLION_CHECK(errno == EEXIST && epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) == 0);
  return 0;
}

}  // namespace

std::optional<BoundSocket> BoundSocket::Bind(const Address& at, int* error) {
  const int fd = socket(at.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    *error = errno;
    return std::nullopt;
  }
  BoundSocket made(fd, at);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  SetKeepAlive(fd, kKeepAlive);  // whom it accepts inherits it
  if (bind(fd, at.get(), at.size()) == 0) return made;
  *error = errno;
  return std::nullopt;
}

BoundSocket::~BoundSocket() {
  if (fd_ >= 0) close(fd_);
}

WatchedDescriptor::~WatchedDescriptor() { epoll_ctl(epoll_, EPOLL_CTL_DEL, fd_, nullptr); }

EpollLoop::EpollLoop(const time::Clock& clock, Listening listening)
    : clock_(clock),
      listening_(listening),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  PILLION_CHECK(epoll_ >= 0 && wake_ >= 0);
  PILLION_CHECK(Register(epoll_, wake_, nullptr, EPOLLIN) == 0);
}

EpollLoop::~EpollLoop() {
  close(wake_);
  close(epoll_);
}

std::unique_ptr<Socket> EpollLoop::Connect(const Address& to, Observer& observer, int* error) {
  const int fd = socket(to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    *error = errno;
    return nullptr;
  }
  SetNoDelay(fd);
  SetKeepAlive(fd, kKeepAlive);
  auto made = std::make_unique<EpollSocket>(fd, to);
  if (connect(fd, to.get(), to.size()) != 0 && errno != EINPROGRESS) {
    *error = errno;
    return nullptr;
  }
  made->watch().observer = &observer;
  *error = Register(epoll_, fd, &made->watch(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  if (*error != 0) return nullptr;
  return made;
}

bool EpollLoop::Observe(Socket& socket, Observer& observer) {
  const auto [watched, told] = socket.Watched(observer);
  auto& own = static_cast<EpollSocket&>(*watched);
  own.watch().observer = told;
  return Register(epoll_, own.fd(), &own.watch(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) == 0;
}

std::unique_ptr<ListenSocket> EpollLoop::Listen(const Address& at, Observer& observer, int* error) {
  std::optional<BoundSocket> bound;
  if (listening_ == Listening::kOnOwnSockets) {
    bound = BoundSocket::Bind(at, error);
  } else {
    const auto lent =
        std::find_if(lent_.begin(), lent_.end(), [&](const auto& s) { return s.address() == at; });
    *error = EADDRNOTAVAIL;
    if (lent == lent_.end()) return nullptr;
    bound = std::move(*lent);
    lent_.erase(lent);
  }
  if (!bound) return nullptr;
  const int fd = bound->Release();
  if (listen(fd, SOMAXCONN) != 0) {
    *error = errno;
    close(fd);
    return nullptr;
  }
  sockaddr_storage local = {};
  socklen_t size = sizeof(local);
  getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size);
  auto made =
      std::make_unique<EpollListenSocket>(fd, Address::FromSockaddr(reinterpret_cast<sockaddr*>(&local)));
  made->watch().observer = &observer;
  // As many as the configuration says: no peer can ask for one. A worker without it would be deaf unnoticed.
  PILLION_CHECK(Register(epoll_, fd, &made->watch(), EPOLLIN) == 0);
  return made;
}

std::unique_ptr<WatchedDescriptor> EpollLoop::WatchReadable(int fd, Observer& observer) {
  std::unique_ptr<WatchedDescriptor> made(new WatchedDescriptor(epoll_, fd, observer));
  if (Register(epoll_, fd, &made->watch_, EPOLLIN) != 0) return nullptr;
  return made;
}

void EpollLoop::Wait(time::MonotonicTime deadline) {
  int timeout_ms = -1;
  if (deadline != time::MonotonicTime::max()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock_.Now());
    timeout_ms = static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60'000));
  }
  std::array<epoll_event, kEventsPerWait> events;
  const int count = epoll_wait(epoll_, events.data(), kEventsPerWait, timeout_ms);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    if (event.data.ptr == nullptr) {
      uint64_t wakes = 0;
      while (read(wake_, &wakes, sizeof(wakes)) > 0) {
      }
      continue;
    }
    const bool readable = (event.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    const bool writable = (event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
    auto& watch = *static_cast<EpollWatch*>(event.data.ptr);
    watch.hung_up = watch.hung_up || (event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    watch.observer->OnReady(readable, writable);
  }
}

void EpollLoop::Wake() {
  const uint64_t one = 1;
  // A full counter means that a wake-up is already due.
  [[maybe_unused]] const ssize_t ignored = write(wake_, &one, sizeof(one));
}

}  // namespace pillion::net
