// The loop on Linux epoll, edge-triggered.
#ifndef PILLION_SIDECAR_NET_EPOLL_LOOP_H_
#define PILLION_SIDECAR_NET_EPOLL_LOOP_H_

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "sidecar/net/loop.h"

namespace pillion::net {

// A socket bound to an address (SO_REUSEPORT, so that each worker has one of its own), not listening yet: the
// process binds, and knows at once what cannot be bound; a worker listens when it takes the listener over.
// Owns its descriptor.
class BoundSocket {
 public:
  // nullopt when the address cannot be bound; `error` is the errno.
  static std::optional<BoundSocket> Bind(const Address& at, int* error);
  ~BoundSocket();
  BoundSocket(BoundSocket&& from) noexcept : fd_(std::exchange(from.fd_, -1)), address_(from.address_) {}
  BoundSocket& operator=(BoundSocket&& from) noexcept {
    std::swap(fd_, from.fd_);
    address_ = from.address_;
    return *this;
  }
  const Address& address() const { return address_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  BoundSocket(int fd, const Address& at) : fd_(fd), address_(at) {}
  int fd_;
  Address address_;
};

// What an epoll event points to: it lives as long as the registration.
struct EpollWatch {
  Observer* observer = nullptr;
  bool hung_up = false;  // an end or an error was reported; no later event will say so again
};

// Somebody else's descriptor, watched for as long as this lives. Not movable.
class WatchedDescriptor {
 public:
  ~WatchedDescriptor();
  WatchedDescriptor(const WatchedDescriptor&) = delete;
  WatchedDescriptor& operator=(const WatchedDescriptor&) = delete;

 private:
  friend class EpollLoop;
  WatchedDescriptor(int epoll, int fd, Observer& observer) : epoll_(epoll), fd_(fd), watch_{&observer} {}
  const int epoll_;
  const int fd_;
  EpollWatch watch_;
};

class EpollLoop : public Loop {
 public:
  enum class Listening : bool { kOnOwnSockets, kOnLentSockets };
  // `clock` outlives the loop.
  explicit EpollLoop(const time::Clock& clock, Listening listening = Listening::kOnOwnSockets);
  ~EpollLoop() override;
  EpollLoop(const EpollLoop&) = delete;
  EpollLoop& operator=(const EpollLoop&) = delete;

  std::unique_ptr<Socket> Connect(const Address& to, Observer& observer, int* error) override;
  bool Observe(Socket& socket, Observer& observer) override;
  std::unique_ptr<ListenSocket> Listen(const Address& at, Observer& observer, int* error) override;
  void Wait(time::MonotonicTime deadline) override;
  void Wake() override;
  // `observer` is told in every Wait while `fd`, which a library made and closes, is readable; it outlives
  // what is returned, and so does the loop. Null: it is one too many for the kernel to watch.
  std::unique_ptr<WatchedDescriptor> WatchReadable(int fd, Observer& observer);
  // kOnLentSockets: what Listen may use from now on; sockets of an earlier call that were not used are
  // closed.
  void Lend(std::vector<BoundSocket> sockets) { lent_ = std::move(sockets); }

 private:
  const time::Clock& clock_;
  const Listening listening_;
  std::vector<BoundSocket> lent_;
  int epoll_;
  int wake_;
};

}  // namespace pillion::net

#endif  // PILLION_SIDECAR_NET_EPOLL_LOOP_H_
