// A request of the sidecar's own (ADS, OTLP ...): an exchange whose client is in memory. It uses ordinary
// clusters and pools.
//
//   SideCall (holder's) <---> SideCall::End (the exchange's ClientStream)
//
//   holder: Write* / Finish ... reads head, content, trailers; Consumed() gives new credit
//   Either end may go first; the other is told by `error` (holder) or by the client's error (exchange).
//
// The holder is woken when something was recorded. One thread.
#ifndef PILLION_SIDECAR_STREAM_SIDE_CALL_H_
#define PILLION_SIDECAR_STREAM_SIDE_CALL_H_

#include <memory>
#include <optional>
#include <string_view>

#include "sidecar/stream/stream.h"

namespace pillion::stream {

class SideCall {
 public:
  // Response content held for a holder that does not read, unless it asks for more.
  static constexpr size_t kContentBytes = size_t{256} * 1024;

  // `holder` is woken; both outlive the call.
  SideCall(Turn& turn, Runnable& holder) : turn_(turn), holder_(holder) {}
  ~SideCall();
  SideCall(const SideCall&) = delete;
  SideCall& operator=(const SideCall&) = delete;

  // The stream to hand to an exchange, once. `head.content` should be kUnsized when content follows. `only`:
  // the endpoint that is called; none: as the cluster's balancer has it.
  std::unique_ptr<ClientStream> Open(http::RequestHead head,
                                     const std::optional<net::Address>& only = std::nullopt);
  // Request content; no limit is enforced here: the holder sees unsent() and decides.
  void Write(std::string_view bytes);
  void Write(const SliceQueue& shared);
  void Finish();
  // Request bytes that no upstream has taken yet.
  size_t unsent() const;
  // The holder has taken bytes out of content: there is room again.
  void Consumed();
  // Holds up to `bytes` of content from now on: the holder needs so many at once.
  void HoldUpTo(size_t bytes);

  // What came back.
  bool has_head = false;
  bool ended = false;
  http::ResponseHead response;
  SliceQueue content;
  http::HeaderList trailers;
  RequestError error;             // the exchange broke off
  bool answered_locally = false;  // by the exchange, not the upstream

 private:
  class End;
  size_t limit_ = kContentBytes;
  Turn& turn_;
  Runnable& holder_;
  End* end_ = nullptr;
};

}  // namespace pillion::stream

#endif  // PILLION_SIDECAR_STREAM_SIDE_CALL_H_
