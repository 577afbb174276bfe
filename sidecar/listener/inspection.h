// A connection whose protocol is not known yet: reads until the first bytes tell HTTP/2 (its preface, RFC
// 9113 section 3.4) from HTTP/1, then makes the session with the bytes it has read. Deleted by the turn.
#ifndef PILLION_SIDECAR_LISTENER_INSPECTION_H_
#define PILLION_SIDECAR_LISTENER_INSPECTION_H_

#include <array>
#include <memory>

#include "sidecar/listener/listener.h"

namespace pillion::listener {

class Inspection final : public session::ClientSession {
 public:
  // `generation` outlives it: it is in the generation's list.
  Inspection(ListenerParts parts, Generation& generation, std::unique_ptr<net::Socket> socket);
  ~Inspection() override;

  void OnReady(bool readable, bool writable) override;
  stream::Progress Run() override;
  void Flush() override {}
  // What it sends within a moment is still answered, once.
  void Drain() override;
  void Abort() override;

 private:
  void BecomeSession(bool http2);

  ListenerParts parts_;
  Generation& generation_;
  std::unique_ptr<net::Socket> socket_;
  stream::Timer timer_;
  time::MonotonicTime deadline_ = time::MonotonicTime::max();
  std::array<char, 24> bytes_;
  size_t size_ = 0;
  bool readable_ = true;
  bool draining_ = false;
  bool aborted_ = false;
};

// Makes the session for a connection of known protocol and puts it into the generation's list.
session::ClientSession& StartSession(ListenerParts& parts, Generation& generation, size_t chain,
                                     std::unique_ptr<net::Socket> socket, bool http2, std::string_view early);

}  // namespace pillion::listener

#endif  // PILLION_SIDECAR_LISTENER_INSPECTION_H_
