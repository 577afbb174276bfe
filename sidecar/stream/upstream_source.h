// How an exchange gets an upstream stream without knowing of connections: it leaves a ticket and is woken.
#ifndef PILLION_SIDECAR_STREAM_UPSTREAM_SOURCE_H_
#define PILLION_SIDECAR_STREAM_UPSTREAM_SOURCE_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "sidecar/base/intrusive_list.h"
#include "sidecar/base/request_error.h"
#include "sidecar/stream/stream.h"

namespace pillion::upstream {
class EndpointState;
}

namespace pillion::stream {

struct TicketTag;

// Wanted, then granted or failed. Owned by the attempt; destroying it while it waits cancels the wish.
class Ticket : public ListNode<TicketTag> {
 public:
  explicit Ticket(Runnable* owner) : owner_(owner) {}
  bool settled() const { return stream != nullptr || static_cast<bool>(error); }
  Runnable* owner() const { return owner_; }

  // A connection that will carry no HTTP (UpstreamStream::OpenRaw), so one that has carried nothing yet.
  bool raw = false;
  // Not its request's first: it was refused by one connection and should not be too late for the next.
  bool again = false;
  // Of its route, 0 or 1: whose circuit limit a connection that is made for it counts against.
  uint8_t priority = 0;
  // The pool's, while it waits. In four bytes: each exchange holds one.
  std::chrono::duration<uint32_t, std::deci> waits_since{};
  std::unique_ptr<UpstreamStream> stream;
  // One that began with these bytes; null: with none (net/introducing_socket.h).
  std::unique_ptr<const std::string> introduction;
  RequestError error;

 private:
  Runnable* owner_;
};

class UpstreamSource {
 public:
  virtual ~UpstreamSource() = default;
  // Settles `ticket` at once when a connection has room; else later, and wakes its owner then.
  // Errors: kConnectFailed, kConnectTimeout, kOverflow; the outcome is always kNotSent.
  virtual void Acquire(upstream::EndpointState& endpoint, bool http2, Ticket& ticket) = 0;
};

}  // namespace pillion::stream

#endif  // PILLION_SIDECAR_STREAM_UPSTREAM_SOURCE_H_
