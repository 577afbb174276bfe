// The loop on Linux epoll, edge-triggered.
#ifndef PILLION_SIDECAR_NET_EPOLL_LOOP_H_
#define PILLION_SIDECAR_NET_EPOLL_LOOP_H_

#include <memory>

#include "sidecar/net/loop.h"

namespace pillion::net {

class EpollLoop : public Loop {
 public:
  // `clock` outlives the loop.
  explicit EpollLoop(const time::Clock& clock);
  ~EpollLoop() override;
  EpollLoop(const EpollLoop&) = delete;
  EpollLoop& operator=(const EpollLoop&) = delete;

  std::unique_ptr<Socket> Connect(const Address& to, Observer& observer, int* error) override;
  void Observe(Socket& socket, Observer& observer) override;
  std::unique_ptr<ListenSocket> Listen(const Address& at, Observer& observer, int* error) override;
  void Wait(time::MonotonicTime deadline) override;
  void Wake() override;

 private:
  const time::Clock& clock_;
  int epoll_;
  int wake_;
};

// Binds and listens with SO_REUSEPORT, without a loop: each worker has a listen socket of its own, and the
// process tries an address before it starts any. Returns the descriptor, or -1 and errno.
int OpenListenSocket(const Address& at);

}  // namespace pillion::net

#endif  // PILLION_SIDECAR_NET_EPOLL_LOOP_H_
