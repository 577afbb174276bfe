// The contract between an exchange and a session: one request/response pair on some connection.
//
//            session records                              exchange takes
//   bytes --> codec --> Inbox{head, content, end, error} --Wake--> Run()
//                       Send*, Finish, Reset  <------------------- (inside its Run only)
//
// Ownership: the exchange owns the stream (unique_ptr); the session holds a pointer and is told by the
// destructor. Destroying a stream whose message is not complete resets it. A session that dies first records
// an error and detaches; every call is then a no-op. One thread. Nothing here calls back: the session only
// wakes the owner.
#ifndef PILLION_SIDECAR_STREAM_STREAM_H_
#define PILLION_SIDECAR_STREAM_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "sidecar/base/request_error.h"
#include "sidecar/base/slice.h"
#include "sidecar/http/head.h"
#include "sidecar/idempotency/hello.h"
#include "sidecar/net/address.h"
#include "sidecar/net/security.h"
#include "sidecar/stream/turn.h"

namespace pillion::stream {

// What the peer sent so far. Order on the wire: head, content, trailers, end; `error` may cut it short
// anywhere and is final.
struct Inbox {
  bool head = false;
  bool trailers_present = false;
  bool ended = false;
  bool stopped = false;  // it takes no more of our message, though its own may be complete
  // HTTP/2: the code with which the peer reset the stream, where the other side may be told it too; 0: none.
  uint32_t reset_code = 0;
  SliceQueue content;  // bounded: the session stops reading (HTTP/1) or lets the window close (HTTP/2)
  http::HeaderList trailers;
  RequestError error;
  // Ever received, for logs and metrics.
  uint64_t content_bytes = 0;
};

class Stream {
 public:
  virtual ~Stream() = default;
  Inbox& in() { return in_; }
  const Inbox& in() const { return in_; }
  // `n` bytes were taken out of in().content and passed on: the peer may send as many again.
  virtual void ReleaseCredit(size_t n) = 0;
  // How many bytes SendContent takes now. When it was 0 and grows, the owner is woken.
  virtual size_t SendRoom() const = 0;
  // Moves min(SendRoom(), from.bytes()) bytes; returns the number. After the head, before the end.
  virtual size_t SendContent(SliceQueue& from) = 0;
  // The end of our message, once.
  virtual void Finish() = 0;
  virtual void FinishWithTrailers(const http::HeaderList& trailers) = 0;
  // Ends both directions now. `why` chooses the code (HTTP/2) or that the connection closes (HTTP/1).
  virtual void Reset(const RequestError& why) = 0;
  // A Reset that comes says this code on HTTP/2, whatever its reason: the other side's peer used it. 0: none.
  void TellCode(uint32_t code) { told_code_ = code; }
  // Bytes that were sent and are still held here, because the peer does not take them.
  virtual size_t Unsent() const = 0;
  virtual http::Version wire_version() const = 0;
  virtual const net::Address& peer() const = 0;
  // What TLS says of the connection and its peer; null: plain text, or the connection is gone. Do not keep
  // it.
  virtual const net::Security* security() const { return nullptr; }

  // When the first byte of the request was read, or its head was sent.
  time::MonotonicTime started() const { return started_; }

  // Who is woken when something was recorded. May be null.
  void set_owner(Runnable* owner) { owner_ = owner; }

 protected:
  Runnable* owner_ = nullptr;
  uint32_t told_code_ = 0;
  time::MonotonicTime started_{};
  Inbox in_;
};

// The side that called us.
class ClientStream : public Stream {
 public:
  http::RequestHead& request() { return request_; }
  // 1xx; any number, before the response head.
  virtual void SendInformational(const http::ResponseHead& head) = 0;
  // Once. `end`: no content and no trailers follow. False: the head is too large for the peer; nothing was
  // sent.
  [[nodiscard]] virtual bool SendResponse(http::ResponseHead& head, bool end) = 0;
  // Where the client wanted to go; unset when its connection is gone, or there is none.
  virtual net::Address local() const { return {}; }
  // The other end of its connection, whatever a proxy before us said; may then cost a system call. Unset as
  // local().
  virtual net::Address direct_peer() const { return {}; }
  // Our end of its connection, whatever a proxy before us said; may cost a system call. Unset as local().
  virtual net::Address own() const { return {}; }
  // The one endpoint that its request is for, whatever the balancer says; null: any. For health checks.
  virtual const net::Address* only_endpoint() const { return nullptr; }
  // Its head came as TLS early data: it may be a replay of another request (RFC 8470).
  bool early_data() const { return early_data_; }
  // The answer that comes, or has come, is not the upstream's.
  virtual void AnsweredLocally() {}
  // The response is complete but the request is not: end without harm to what was sent.
  virtual void EndEarly() = 0;

 protected:
  http::RequestHead request_;
  bool early_data_ = false;
};

// The side that we call.
class UpstreamStream : public Stream {
 public:
  // Once, first. `end`: no content and no trailers follow; of a request that may open a tunnel it says that
  // nothing follows before it is granted. False: the head is too large for this peer; nothing was sent.
  [[nodiscard]] virtual bool SendRequest(const http::RequestHead& head, bool end) = 0;
  // Valid once in().head; a 1xx head is handed over by TakeInformational first.
  http::ResponseHead& response() { return response_; }
  // True and fills `head` for each 1xx received and not yet taken (at most the first kMaxInformational are
  // kept).
  virtual bool TakeInformational(http::ResponseHead& head) = 0;
  // True for a connection that carried a request before: if it died unused, one more pick costs no retry.
  virtual bool reused() const = 0;
  // Whether a request with `upgrade` can be sent. kUnknown: the peer has not said yet; the owner is woken
  // when it has. A granted one is answered by 101 whatever the wire says (HTTP/2: 200).
  enum class TakesUpgrade : uint8_t { kUnknown, kYes, kNo };
  virtual TakesUpgrade takes_upgrade() const = 0;
  // What the peer has said of itself on this connection (idempotency/hello.h). Null: nothing yet, but it may;
  // the owner is woken when it is known. Do not keep it.
  virtual const idempotency::HeardHello* hello() const { return &idempotency::kNothingHeard; }
  // Instead of SendRequest, on an HTTP/1 connection that was not used before: no head is sent, the bytes of
  // both directions are what the connection carries, and the answer is a 200 of our own at once. For a
  // CONNECT that ends here.
  virtual void OpenRaw() = 0;

 protected:
  http::ResponseHead response_;
};

}  // namespace pillion::stream

#endif  // PILLION_SIDECAR_STREAM_STREAM_H_
